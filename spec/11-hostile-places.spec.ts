/**
 * Files with guest memory: no other user can read them, existing files and folders are not reused, links are not
 * followed.
 */
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import test from "tape";
import { openRecording } from "../src/io/container/recording.js";
import { readBelow } from "../src/io/transport/below.js";
import { createFile, temporaryFile, temporaryFolder } from "../src/io/transport/temporary.js";
import { corpusEntry } from "../tools/corpus.js";
import { PLAIN_PROGRAM, qevm as run, type Ended } from "./support/program.js";

const work = mkdtempSync(join(tmpdir(), "qevm-places-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));
// The umask of the test run must not affect the result.
process.umask(0o022);

const stream = corpusEntry("xbzrle").open();
const file = join(work, "vm.mig");
writeFileSync(file, stream);
const packed = join(work, "vm.mig.gz");
writeFileSync(packed, gzipSync(stream, { level: 1 }));

/** The program with a separate folder for temporary files. */
const qevm = (args: readonly string[], temporary = work): Promise<Ended> => run(args, { env: { TMPDIR: temporary } });

const modeOf = (path: string): number => lstatSync(path).mode & 0o777;

/** Every path at and below one that other users can access. */
function open(path: string): string[] {
  const wrong = (modeOf(path) & 0o077) === 0 ? [] : [`${relative(work, path)} ${modeOf(path).toString(8)}`];
  if (!lstatSync(path).isDirectory()) return wrong;
  return [...wrong, ...readdirSync(path).flatMap((name) => open(join(path, name)))];
}

const unpacked = join(work, "unpacked");
const OUTPUTS: readonly string[] = [
  "unpack IN OUT",
  "pack UNPACKED --out OUT",
  "extract IN --format blocks --out OUT",
  "extract IN --format raw --out OUT",
  "extract IN --format elf --out OUT",
  "extract IN --format lime --out OUT",
  "convert IN --flatten --out OUT",
  "convert IN --to mapped-ram --out OUT",
  "convert IN --to recording --flatten --out OUT",
  "report IN --out OUT",
  "generate --template IN --out OUT",
  "read IN --block pc.ram --index OUT",
  "receive exec:cat${IFS}IN --out OUT",
  "receive exec:cat${IFS}IN --as recording --out OUT",
  "fuzz make IN --cases 2 --out OUT",
  "fuzz decode IN --cases 2 --out OUT",
];

const words = (command: string, out: string): string[] =>
  command.split(" ").map((word) => word.replace("IN", file).replace("OUT", out).replace("UNPACKED", unpacked));

test("new outputs are accessible to the owner only, replaced files keep their mode", async (t) => {
  t.equal((await qevm(["unpack", file, unpacked])).code, 0);
  for (const [k, command] of OUTPUTS.entries()) {
    const out = join(work, `out-${k}`);
    const { code, stderr } = await qevm(words(command.replace("UNPACKED", unpacked), out));
    t.equal(code, 0, `${command} ${stderr}`);
    t.deepEqual(open(out), [], "nobody else may read any of it");
    if (lstatSync(out).isDirectory() || command.includes("--index")) continue;
    chmodSync(out, 0o644);
    t.equal((await qevm(words(command.replace("UNPACKED", unpacked), out))).code, 0, "again");
    t.equal(modeOf(out), 0o644, "a file that was there keeps its mode");
  }
  const empty = join(work, "empty");
  mkdirSync(empty, { mode: 0o755 });
  t.equal((await qevm(["unpack", file, empty])).code, 0);
  t.equal(modeOf(empty), 0o755, "and so does an empty folder");
  t.deepEqual(
    readdirSync(work).filter((name) => name.includes("partial")),
    [],
    "nothing is left",
  );
  t.end();
});

test("temporary names are unpredictable, and existing files are not used", (t) => {
  const folder = join(work, "shared");
  mkdirSync(folder);
  const made = [temporaryFolder(folder, "x"), temporaryFolder(folder, "x"), temporaryFile(folder, "x")];
  t.equal(new Set(made.map(({ path }) => path)).size, 3);
  t.notOk(made.some(({ path }) => path.includes(`${process.pid}`)));
  for (const one of made) one.remove();
  const long = temporaryFile(folder, "é".repeat(127));
  long.remove();
  const victim = join(work, "victim");
  symlinkSync(victim, join(folder, "link"));
  t.throws(() => createFile(join(folder, "link")), /EEXIST/);
  t.notOk(existsSync(victim), "a link of the name is not followed");
  t.end();
});

test("folders and links created in advance under the process's names have no effect", (t) => {
  const folder = join(work, "premade");
  mkdirSync(folder);
  const out = join(folder, "out");
  const victim = join(folder, "victim");
  writeFileSync(victim, "as it was");
  // exec keeps the process id, which an attacker has to guess.
  const script = `cd ${folder} && mkdir -m 777 .qevm.$$.memory.partial .out.$$.memory.partial && ln -s ${victim} .out.$$.partial &&
    exec env -u NODE_OPTIONS TMPDIR=${folder} ${process.execPath} ${PLAIN_PROGRAM} "$@"`;
  for (const to of [out, "-"]) {
    const args = ["-c", script, "sh", "convert", file, "--flatten", "--out", to];
    const { status } = spawnSync("sh", args, { timeout: 30_000, maxBuffer: 1 << 28 });
    t.equal(status, 0, `--out ${to}`);
  }
  t.equal(readFileSync(victim, "utf8"), "as it was");
  const folders = readdirSync(folder).filter((name) => name.endsWith(".memory.partial"));
  t.equal(folders.length, 4);
  t.deepEqual(
    folders.flatMap((name) => readdirSync(join(folder, name))),
    [],
    "nothing was written into them",
  );
  t.end();
});

test("another user cannot read the scratch memory", async (t) => {
  const folder = join(work, "watched");
  mkdirSync(folder);
  chmodSync(work, 0o755);
  chmodSync(folder, 0o1777);
  const args = ["-u", "NODE_OPTIONS", `TMPDIR=${folder}`, process.execPath, PLAIN_PROGRAM];
  const child = spawn("env", [...args, "convert", "-", "--flatten", "--out", "-"], {
    stdio: ["pipe", "ignore", "pipe"],
  });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  // It may end before it has read everything.
  child.stdin.on("error", () => undefined);
  child.stdin.write(stream.subarray(0, stream.length / 2));
  for (let k = 0; k < 100 && scratchFiles(folder).length === 0; k++) await sleep(100);
  const files = scratchFiles(folder);
  t.ok(files.length > 0, "there is memory in files");
  t.deepEqual(
    readdirSync(folder).flatMap((name) => open(join(folder, name))),
    [],
    "modes",
  );
  if (process.getuid?.() === 0) {
    for (const path of files) {
      const cat = spawnSync("cat", [path], { uid: 65_534, gid: 65_534 });
      t.ok(cat.status !== 0 && cat.stdout.length === 0, "nobody cannot read it");
    }
  }
  child.kill("SIGTERM");
  await ended;
  t.deepEqual(readdirSync(folder), [], "and it is gone after SIGTERM");
  t.end();
});

function scratchFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

test("a folder in which nothing can be created is named in one line", async (t) => {
  for (const folder of ["/proc", "/dev/full", join(work, "nowhere"), file]) {
    for (const args of [
      ["convert", file, "--flatten", "--out", "-"],
      ["convert", file, "--to", "mapped-ram", "--out", "-"],
      ["pack", unpacked, "--out", "-"],
      ["read", packed, "--physical", "0"],
      ["diff", file, packed],
      ["report", file, "--out", "/dev/null"],
    ]) {
      const { code, stderr } = await qevm(args, folder);
      t.equal(code, 2, `${args[0]} with TMPDIR=${folder}`);
      t.ok(stderr.includes(folder) && stderr.split("\n").length === 2, stderr);
    }
  }
  const { code, stderr } = await qevm(["unpack", file, "/proc/new/folder"]);
  t.equal(code, 2, "an output there");
  t.ok(stderr.includes("/proc/new"), stderr);
  t.end();
});

test("pack reads only plain files of the folder", async (t) => {
  const secret = join(work, "secret");
  mkdirSync(secret);
  const swap: readonly (readonly [
    what: string,
    file: string,
    put: (path: string, was: string) => void,
    found: RegExp,
  ])[] = [
    ["a link", "manifest.json", link, /a symbolic link/],
    ["a link", "records.bin", link, /a symbolic link/],
    ["a link", "versions.bin", link, /a symbolic link/],
    ["a link", "ram/pc.ram", link, /a symbolic link/],
    ["a link", "devices", link, /a symbolic link/],
    ["a link", "ram", link, /a symbolic link/],
    ["a pipe", "manifest.json", pipe, /a named pipe/],
    ["a pipe", "records.bin", pipe, /a named pipe/],
    ["a pipe", "ram/pc.ram", pipe, /a named pipe/],
    ["a pipe", "vmdescription.json", pipe, /a named pipe/],
    ["a device", "versions.bin", (path) => symlinkSync("/dev/zero", path), /a symbolic link/],
    ["a folder", "records.bin", (path) => mkdirSync(path), /a folder/],
  ];
  for (const [k, [what, name, put, found]] of swap.entries()) {
    const folder = join(work, `swapped-${k}`);
    cpSync(unpacked, folder, { recursive: true });
    renameSync(join(folder, name), join(secret, `${k}`));
    put(join(folder, name), join(secret, `${k}`));
    const { code, stderr } = await qevm(["pack", folder, "--out", join(work, "never")]);
    t.equal(code, 1, `${what} as ${name}`);
    t.match(stderr, found);
    t.notOk(existsSync(join(work, "never")), "nothing is written");
  }
  for (const wrong of ["../secret/0", "/etc/passwd", "devices/../../secret/0", "./records.bin", "x\0y"]) {
    const folder = join(work, "named");
    rmSync(folder, { recursive: true, force: true });
    cpSync(unpacked, folder, { recursive: true });
    const text = readFileSync(join(folder, "manifest.json"), "utf8");
    writeFileSync(
      join(folder, "manifest.json"),
      text.replace('"vmdescription.json"', () => JSON.stringify(wrong)),
    );
    t.equal(
      (await qevm(["pack", folder, "--out", join(work, "never")])).code,
      wrong.includes("\0") ? 2 : 1,
      JSON.stringify(wrong),
    );
  }
  const linked = join(work, "linked");
  symlinkSync(unpacked, linked);
  t.equal(
    (await qevm(["pack", linked, "--out", join(work, "packed-again")])).code,
    0,
    "the folder itself may be a link",
  );
  t.deepEqual(readFileSync(join(work, "packed-again")), Buffer.from(stream));
  t.end();
});

test("only plain files of a recording's folder are read", async (t) => {
  const folder = join(work, "recording");
  t.equal((await qevm(["convert", file, "--to", "recording", "--flatten", "--out", folder])).code, 0);
  const channels = openRecording(folder).multifd.length;
  renameSync(join(folder, "multifd-1.bin"), join(work, "elsewhere.bin"));
  symlinkSync(join(work, "elsewhere.bin"), join(folder, "multifd-1.bin"));
  spawnSync("mkfifo", [join(folder, "pipe.bin")]);
  const { multifd, others } = openRecording(folder);
  t.equal(multifd.length, channels - 1, "a link is not a channel");
  t.ok(others.includes("multifd-1.bin") && others.includes("pipe.bin"), "both are told");
  t.throws(() => readBelow(folder, "multifd-1.bin"), /a symbolic link/);
  t.throws(() => readBelow(folder, "pipe.bin"), /a named pipe/);
  t.throws(() => readBelow(folder, "main.bin/x"), /a file instead of a folder/);
  t.end();
});

function link(path: string, was: string): void {
  symlinkSync(was, path);
}

function pipe(path: string): void {
  spawnSync("mkfifo", [path]);
}

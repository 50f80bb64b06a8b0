/**
 * Outputs of every command: an input is never replaced, outputs are complete even if the system writes only parts, and
 * standard output works where supported.
 */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import test from "tape";
import { corpusEntry } from "../tools/corpus.js";
import { PROGRAM, qevm } from "./support/program.js";

const work = mkdtempSync(join(tmpdir(), "qevm-outputs-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

const stream = corpusEntry("pc-firmware").open();
const file = join(work, "vm.mig");
writeFileSync(file, stream);

/** Commands that read `IN` and make `OUT`. */
const COMMANDS: readonly string[] = [
  "extract IN --format raw --out OUT",
  "extract IN --format elf --out OUT",
  "extract IN --format lime --out OUT",
  "convert IN --out OUT",
  "convert IN --ram zlib --out OUT",
  "convert IN --to mapped-ram --out OUT",
  "generate --template IN --out OUT",
  "generate --machine none --fill IN --out OUT",
  "generate --template OTHER --ram pc.ram=IN --out OUT",
  "inspect-schema",
  "report IN --out OUT",
  "fuzz minimise IN --out OUT",
  "fuzz qemu IN --out OUT -- true",
];

function words(command: string, input: string, out: string): string[] {
  const line = command === "inspect-schema" ? "extract OTHER --schema IN --format raw --out OUT" : command;
  const other = join(work, "other.mig");
  return line.split(" ").map((word) =>
    word
      .replace(/\bIN$/u, input)
      .replace(/^OUT$/u, out)
      .replace(/^OTHER$/u, other),
  );
}

test("an input file is never replaced, under any name", async (t) => {
  writeFileSync(join(work, "other.mig"), stream);
  const link = join(work, "link");
  const hard = join(work, "hard");
  symlinkSync(file, link);
  linkSync(file, hard);
  for (const command of COMMANDS) {
    const ways = [
      [file, file],
      [file, link],
      [link, file],
      [file, hard],
      [file, join(work, "..", basename(work), "vm.mig")],
    ] as const;
    for (const [input, out] of command === COMMANDS[0] ? ways : ways.slice(0, 2)) {
      const { code, stderr } = await qevm(words(command, input, out));
      if (code !== 2 || !/--out would replace \S+, which is read/u.test(stderr))
        t.fail(`${command}: ${code} ${stderr}`);
    }
    t.ok(readFileSync(file).equals(stream), command);
  }
  rmSync(link);
  rmSync(hard);
  t.deepEqual(readdirSync(work).toSorted(), ["other.mig", "vm.mig"], "and nothing is left behind");
  t.end();
});

test("a file of an input folder is never replaced", async (t) => {
  const folder = join(work, "unpacked");
  t.equal((await qevm(["unpack", file, folder])).code, 0);
  const manifest = readFileSync(join(folder, "manifest.json"));
  const { code, stderr } = await qevm(["pack", folder, "--out", join(folder, "manifest.json")]);
  t.equal(code, 2);
  t.match(stderr, /--out would replace \S+unpacked, which is read/u);
  t.ok(readFileSync(join(folder, "manifest.json")).equals(manifest));
  const beside = join(folder, "stream");
  t.equal((await qevm(["pack", folder, "--out", beside])).code, 0, "a new one may be made there");
  t.ok(readFileSync(beside).equals(stream));
  rmSync(folder, { recursive: true });
  t.end();
});

/** A system that reads and writes at most so many bytes at a time. */
const STINGY = `data:text/javascript,${encodeURIComponent(`
  import fs from "node:fs";
  import { syncBuiltinESMExports } from "node:module";
  for (const name of ["writeSync", "readSync"]) {
    const whole = fs[name];
    fs[name] = (fd, bytes, from, length, at) =>
      typeof bytes === "string" ? whole(fd, bytes, from, length) : whole(fd, bytes, from ?? 0, Math.min(length ?? bytes.length, 30011), at);
  }
  syncBuiltinESMExports();
`)}`;

/** Every file below a folder, or the file. */
function contents(path: string): Map<string, Buffer> {
  if (!statSync(path).isDirectory()) return new Map([["", readFileSync(path)]]);
  const files = readdirSync(path, { recursive: true, encoding: "utf8" }).toSorted();
  return new Map(
    files.filter((name) => statSync(join(path, name)).isFile()).map((name) => [name, readFileSync(join(path, name))]),
  );
}

test("outputs are the same when the system reads and writes only parts", async (t) => {
  const gz = join(work, "vm.mig.gz");
  writeFileSync(gz, gzipSync(stream));
  const unpacked = join(work, "to-pack");
  t.equal((await qevm(["unpack", file, unpacked])).code, 0);
  const lines = [
    ...COMMANDS.filter((line) => /^(?:extract|convert|generate)/u.test(line)),
    "extract IN --format blocks --out OUT",
    "extract GZ --format raw --out OUT",
    "extract IN --format raw --layout pc.ram@0x2000 --out OUT",
    "unpack IN OUT",
    "pack UNPACKED --out OUT",
  ];
  for (const line of lines) {
    const [one, two] = ["whole", "parts"].map((name) => join(work, name));
    const args = (out: string): string[] =>
      words(line, file, out).map((word) => word.replace(/^GZ$/u, gz).replace(/^UNPACKED$/u, unpacked));
    const whole = await qevm(args(one!));
    const parts = await qevm(args(two!), { hook: STINGY });
    t.equal(whole.code, 0, whole.stderr);
    t.equal(parts.code, 0, parts.stderr);
    t.deepEqual(contents(two!), contents(one!), line);
    for (const made of [one!, two!]) rmSync(made, { recursive: true });
  }
  const index = join(work, "index");
  const read = ["read", file, "--block", "pc.ram", "--offset", "0", "--length", "65536", "--raw", "--index", index];
  const pages = (): Buffer => spawnSync(process.execPath, ["--import", STINGY, PROGRAM, ...read]).stdout;
  const whole = pages();
  t.ok(whole.equals(pages()) && whole.length === 65536, "read, by a new index and by it");
  t.end();
});

test("commands that make a stream write it to standard output", async (t) => {
  const unpacked = join(work, "to-pack");
  const out = join(work, "made");
  for (const line of ["pack UNPACKED", "generate --machine none --memory 1M --fill text", "generate --template IN"]) {
    const args = words(line, file, out).map((word) => word.replace(/^UNPACKED$/u, unpacked));
    t.equal((await qevm([...args, "--out", out])).code, 0);
    const piped = spawnSync(process.execPath, [PROGRAM, ...args, "--out", "-"], { maxBuffer: 1 << 28, cwd: work });
    t.equal(piped.status, 0, piped.stderr.toString());
    t.ok(piped.stdout.equals(readFileSync(out)), line);
    t.equal((await qevm([...args, "--out", "-", "--json"])).code, 2, "not beside a document");
  }
  mkdirSync(join(work, "cwd"));
  for (const line of [
    "extract IN --format raw",
    "extract IN --format blocks",
    "fuzz minimise IN",
    "receive exec:true",
    "convert IN --to recording",
    "convert IN --to libvirt --xml IN",
    "relay unix:a unix:b",
  ]) {
    const run = spawnSync(process.execPath, [PROGRAM, ...words(line, file, ""), "--out", "-"], {
      cwd: join(work, "cwd"),
    });
    t.equal(run.status, 2, line);
    t.match(
      run.stderr.toString(),
      /cannot be written to standard output: --out PATH \(\.\/- for a file of that name\)/u,
    );
  }
  t.deepEqual(readdirSync(join(work, "cwd")), [], "no file called -");
  t.end();
});

test("a template inside its container", async (t) => {
  const out = join(work, "of-gz");
  t.equal((await qevm(["generate", "--template", join(work, "vm.mig.gz"), "--out", out])).code, 0);
  t.ok(readFileSync(out).equals(stream));
  t.match(
    (await qevm(["generate", "--machine", "none", "--snapshot", "x", "--out", out])).stderr,
    /goes with --template/u,
  );
  t.end();
});

test("send takes a stream, or anything with --lenient", async (t) => {
  const got = join(work, "got");
  const none = join(work, "none");
  for (const bytes of ["", "QEV", "no stream at all"]) {
    writeFileSync(none, bytes);
    const refused = await qevm(["send", none, `exec:cat > ${got}`]);
    t.equal(refused.code, 1);
    t.match(refused.stderr, /refused at byte 0x0/u);
    t.notOk(existsSync(got), "nothing is started for it");
    t.equal((await qevm(["send", none, `exec:cat > ${got}`, "--lenient"])).code, 0);
    t.equal(readFileSync(got, "utf8"), bytes);
    rmSync(got);
  }
  for (const stdin of [undefined, stream]) {
    t.equal(
      (
        await qevm(
          ["send", stdin === undefined ? file : "-", `exec:cat > ${got}`],
          stdin === undefined ? {} : { stdin },
        )
      ).code,
      0,
    );
    t.ok(readFileSync(got).equals(stream), "whole");
  }
  t.end();
});

test("a warning for compressed pages that no release loads", async (t) => {
  const out = join(work, "zlib");
  for (const [name, warns] of [
    ["v11.1-live", true],
    ["v10.0-pc-7.2", false],
    ["pc-fill", false],
  ] as const) {
    const input = join(work, name);
    writeFileSync(input, corpusEntry(name).open());
    const { code, stderr } = await qevm(["convert", input, "--ram", "zlib", "--out", out]);
    t.equal(code, 0);
    t.equal(/no release of QEMU loads this: pc-i440fx-11\.1 is of QEMU 11\.1/u.test(stderr), warns, name);
  }
  t.end();
});

test("an output in a missing folder names that folder", async (t) => {
  const here = join(work, "vm.mig");
  for (const [out, code, said] of [
    [join(work, "no", "out"), 2, /: there is no folder \S+\/no$/mu],
    [join(work, "no/"), 2, /\/no\/ is a folder, but the output is a file$/mu],
    [join(here, "out"), 2, /ENOTDIR/u],
  ] as const) {
    for (const line of ["extract IN --format raw", "convert IN", "report IN", "generate --template IN"]) {
      const run = await qevm([...words(line, here, ""), "--out", out]);
      t.equal(run.code, code, run.stderr);
      t.match(run.stderr, said);
    }
  }
  t.notOk(existsSync(join(work, "no")));
  t.end();
});

test("sizes and addresses may have a unit", async (t) => {
  const read = async (...more: string[]): Promise<string> => (await qevm(["read", file, "--physical", ...more])).stdout;
  t.equal(await read("1M", "--length", "1K"), await read("0x100000", "--length", "1024"));
  t.equal((await qevm(["read", file, "--physical", "1Q"])).code, 2);
  t.end();
});

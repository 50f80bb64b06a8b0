/** Every command that `explain` prints for a damaged file is run as printed, for each container and kind of damage. */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { gzipSync } from "node:zlib";
import test from "tape";
import { inspectStream } from "../src/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { recordingNamed } from "../tools/recording/corpus.js";
import { inParallel } from "./support/parallel.js";
import { PROGRAM, qevm } from "./support/program.js";

const work = mkdtempSync(join(tmpdir(), "qevm-cures-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

/** `qevm` by its name, as the commands call it. */
const bin = join(work, "bin");
mkdirSync(bin);
writeFileSync(join(bin, "qevm"), `#!/bin/sh\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`);
chmodSync(join(bin, "qevm"), 0o755);
const env = { ...process.env, PATH: `${bin}${delimiter}${process.env["PATH"] ?? ""}` };

const stream = corpusEntry("compress-live").open();
const { sections } = await inspectStream(stream);
const ram = sections.find(({ section: name, type }) => name === "ram" && type === "part")!;
const device = sections.filter(({ type }) => type === "full")[3]!;
const page = stream.indexOf(Buffer.from([0x78, 0x01]), ram.streamOffset + (ram.sectionLength >> 1));

function changed(at: number, count: number): Buffer {
  const bytes = Buffer.from(stream);
  for (let k = 0; k < count; k++) bytes[at + k]! ^= 0x5a;
  return bytes;
}

const DAMAGE: Readonly<Record<string, Buffer>> = {
  "cut in the RAM": stream.subarray(0, ram.streamOffset + (ram.sectionLength >> 1)),
  "cut in a device": stream.subarray(0, device.streamOffset + device.sectionLength - 3),
  "a page that is not deflate": changed(page + 20, 30),
  "a wrong footer": changed(device.streamOffset + device.sectionLength - 4, 2),
  "a section type that does not exist": changed(device.streamOffset, 1),
};

/** A program's output for some input; undefined where the program is not installed. */
function filtered(command: string, args: readonly string[], input: Buffer): Buffer | undefined {
  const run = spawnSync(command, args, { input, maxBuffer: 1 << 28 });
  return run.error === undefined && run.status === 0 ? run.stdout : undefined;
}

const WRAPPED: readonly [string, (bytes: Buffer) => Buffer | undefined][] = [
  ["vm.mig", (bytes) => bytes],
  ["vm.mig.gz", (bytes) => gzipSync(bytes)],
  ["vm.mig.zst", (bytes) => filtered("zstd", ["-qc"], bytes)],
  ["vm.mig.xz", (bytes) => filtered("xz", ["-c"], bytes)],
  ["vm.mig.lz4", (bytes) => filtered("lz4", ["-qc"], bytes)],
  ["a b'c.save", (bytes) => libvirtImage(bytes)],
];

/** A save image as libvirt writes it: header, XML, stream. */
function libvirtImage(bytes: Buffer): Buffer {
  const xml = Buffer.from(
    "<domain type='qemu'><name>vm</name><os><type machine='pc-i440fx-7.2'>hvm</type></os></domain>\0",
  );
  const head = Buffer.alloc(92);
  head.write("LibvirtQemudSave", "latin1");
  head.writeUInt32LE(2, 16);
  head.writeUInt32LE(xml.length, 20);
  head.writeUInt32LE(1, 24);
  return Buffer.concat([head, xml, bytes]);
}

/** The commands that explain prints, as a person copies them. */
async function printed(file: string): Promise<string[]> {
  const text = (await qevm(["explain", file], { cwd: work })).stdout;
  // A long one goes on after a backslash, as a shell takes it.
  const lines = text
    .replaceAll(/\\\n\s*/gu, "")
    .split("\n")
    .filter((line) => /^ +(?:qevm|sh|head|zstd|gzip|xz|lz4) /u.test(line));
  return [...new Set(lines.map((line) => line.trim()))].filter((line) => !line.startsWith("qevm adapt"));
}

/** Runs a command as printed. One of `qevm` alone gets the words that a shell makes of it, without a start of Node. */
async function asPrinted(
  command: string,
  cwd: string,
): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const alone = /^qevm [^|;&<>()`$]+$/u.test(command);
  const shell = alone ? `qevm() { printf '%s\\0' "$@"; }; ${command}` : command;
  const run = spawnSync("/bin/sh", ["-c", shell], { cwd, env, encoding: "utf8", timeout: 60_000 });
  if (!alone || run.status !== 0) return run;
  const { code, stdout, stderr } = await qevm(run.stdout.split("\0").slice(0, -1), { cwd });
  return { status: code, stdout, stderr };
}

/** Runs one command in a folder of its own. What it says it makes must be there. */
async function cure(t: test.Test, file: string, command: string): Promise<void> {
  const folder = mkdtempSync(join(work, "run-"));
  cpSync(join(work, file), join(folder, file), { recursive: true });
  const run = await asPrinted(command, folder);
  const made = / --out (NEW|DIR)/u.exec(command)?.[1];
  const there = made === undefined || existsSync(join(folder, made));
  const filled = made === "DIR" ? there && readdirSync(join(folder, made)).length > 1 : there;
  t.ok(
    run.status === 0 || (run.status === 1 && command.includes("--lenient")),
    `${command}: ${run.status} ${run.stderr}`,
  );
  t.ok(filled, "what it makes is there");
  t.ok(made !== undefined || run.stdout !== "", "what it prints is there");
  rmSync(folder, { recursive: true });
}

for (const [file, wrap] of WRAPPED) {
  test(`damage inside ${file}`, async (t) => {
    await inParallel(2, Object.entries(DAMAGE), async ([what, bytes]) => {
      const wrapped = wrap(bytes);
      if (wrapped === undefined) {
        t.comment(`SKIP ${what}: no program makes ${file} here`);
        return;
      }
      const name = `${Object.keys(DAMAGE).indexOf(what)}${file}`;
      writeFileSync(join(work, name), wrapped);
      const commands = await printed(name);
      t.ok(commands.length > 0, `${what}: ${commands.length} commands`);
      for (const command of commands) await cure(t, name, command);
    });
  });
}

test("damage inside a recording", async (t) => {
  const { files, open } = recordingNamed("recording-7.2-zlib");
  for (const [what, damage] of [
    [
      "a channel that ends early",
      (name: string, bytes: Buffer) => (name === "multifd-1.bin" ? bytes.subarray(0, bytes.length >> 1) : bytes),
    ],
    [
      "a main channel that ends early",
      (name: string, bytes: Buffer) => (name === "main.bin" ? bytes.subarray(0, bytes.length - 300) : bytes),
    ],
  ] as const) {
    const name = what.replaceAll(" ", "-");
    mkdirSync(join(work, name));
    for (const file of files) writeFileSync(join(work, name, file), damage(file, open(file)));
    for (const command of await printed(name)) await cure(t, name, command);
    t.pass(what);
  }
});

test("damage inside a mapped-ram file", async (t) => {
  const plain = join(work, "plain.mig");
  writeFileSync(plain, corpusEntry("pc-fill").open());
  const made = await qevm(["convert", plain, "--to", "mapped-ram", "--out", join(work, "mapped.mig")]);
  t.equal(made.code, 0, made.stderr);
  const whole = readFileSync(join(work, "mapped.mig"));
  for (const [name, bytes] of [
    ["cut.mapped", whole.subarray(0, 2 << 20)],
    ["devices.mapped", whole.subarray(0, whole.length - 20_000)],
  ] as const) {
    writeFileSync(join(work, name), bytes);
    const commands = await printed(name);
    t.comment(`${name}: ${commands.length} commands`);
    for (const command of commands) await cure(t, name, command);
  }
});

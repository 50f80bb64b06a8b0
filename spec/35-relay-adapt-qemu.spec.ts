/** Guests that are adapted while they migrate, between real QEMUs: they go on, or stay with their source. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test, { type Test } from "tape";
import { MemorySource } from "../src/bytes/index.js";
import type { Change } from "../src/rewrite/adapt/types.js";
import { survey } from "../src/rewrite/adapt/survey.js";
import { patternOf, saveOld, type Cell } from "../tools/adapt/cell.js";
import { DEVICE_SETS } from "../tools/adapt/cells.js";
import { dirtyDisk, dirtyFirmware, words } from "../tools/capture/entries/parts.js";
import { compare, readStatus, runGuest } from "../tools/destination/index.js";
import { readPhysical } from "../tools/destination/compare.js";
import type { QemuBinary } from "../tools/qemu/find.js";
import type { QemuProcess } from "../tools/qemu/process.js";
import { migrateTo } from "../tools/recording/record.js";
import { qemuOf } from "./support/loads.js";
import { flatDocument } from "./support/document.js";
import { qevm } from "./support/program.js";
import { arrived, through, type Outcome, type Side, type Way } from "./support/relayed.js";

const scratch = mkdtempSync(join(tmpdir(), "qevm-spec-35-adapt-"));
test.onFinish(() => rmSync(scratch, { recursive: true, force: true }));

const FIRMWARE = { "bios.img": Buffer.from(dirtyFirmware.content()) };
const DISKS = { "boot.img": Buffer.from(dirtyDisk.content()), disk: Buffer.alloc(1 << 20) };
const BARE = words("-m 8 -nodefaults -vga none -bios $DIR/bios.img");
const BACK: Side = { capabilities: ["return-path"] };

/** The virtio devices that `adapt` is tried with, and the guest on an IDE disk. */
const VIRTIO = words(
  `-m 64 ${DEVICE_SETS.find(({ name }) => name === "virtio, no serial")!.args("pc-i440fx")}
   -drive file=$DIR/boot.img,format=raw,if=ide`,
);

/** What a destination has saved before: the pattern as a file, and the arguments that the guest needs there. */
async function patternFile(
  from: QemuBinary,
  to: QemuBinary,
  machines: readonly [string, string],
  args: readonly string[],
  files: Record<string, Buffer>,
): Promise<{ path: string; args: string[] }> {
  const cell: Cell = { old: from, now: to, from: machines[0], to: machines[1], args, run: 300, files };
  const { stream } = await saveOld(cell);
  const { pattern, globals } = await patternOf(cell, await survey(new MemorySource(stream), {}));
  const path = join(scratch, `${machines.join("-")}-${args.length}.mig`);
  writeFileSync(path, pattern);
  return { path, args: ["-machine", machines[1], ...args, ...globals] };
}

/** The same as a user does it, by what `adapt` prints. */
async function printedPattern(
  qemu: QemuBinary,
  machines: readonly [string, string],
  args: readonly string[],
  files: Record<string, Buffer>,
): Promise<{ path: string; args: string[] }> {
  const cell: Cell = { old: qemu, now: qemu, from: machines[0], to: machines[1], args, run: 300, files };
  const [early, path] = [join(scratch, "early.mig"), join(scratch, "printed.mig")];
  writeFileSync(early, (await saveOld(cell)).stream);
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(scratch, name), bytes);
  const command = [...qemu.command, "-machine", machines[1], ...args].map((word) => word.replaceAll("$DIR", scratch));
  const made = await qevm(["adapt", early, "--print-command", "--keep-pattern", path, "--", ...command]);
  if (made.code !== 0) throw new Error(made.stderr + made.stdout);
  const shell = spawnSync("/bin/sh", ["-c", `set -- ${made.stdout}\nprintf '%s\\n' "$@"`], { encoding: "utf8" });
  const [program, ...printed] = shell.stdout.split("\n").slice(0, -1);
  if (program !== qemu.command[0] || printed.slice(-2).join(" ") !== "-incoming defer") throw new Error(made.stdout);
  return { path, args: printed.slice(0, -2) };
}

/** The guest of `args` migrates, and is adapted; `more` are the source's devices that the destination lacks. */
async function adapted(
  from: QemuBinary,
  to: QemuBinary,
  way: Pick<Way, "source" | "destination" | "options" | "migrate"> & {
    machines: readonly [string, string];
    args: readonly string[];
    files: Record<string, Buffer>;
    more?: readonly string[];
    printed?: boolean;
  },
  use: (outcome: Outcome, whole: Way) => Promise<void>,
): Promise<void> {
  const { machines, args, files, more = [], destination, options, printed = false } = way;
  const made = printed
    ? await printedPattern(to, machines, args, files)
    : await patternFile(from, to, machines, args, files);
  const { path } = made;
  const whole: Way = {
    ...way,
    destination: { ...destination, args: made.args },
    options: ["--like", path, "--json", ...options],
    machine: { args: ["-machine", machines[0], ...args, ...more], files, rounds: 3 },
  };
  await through(from, to, whole, async (outcome) => await use(outcome, whole));
}

/** After SeaBIOS has started the guest of the disk, live. */
async function booted(vm: QemuProcess, uri: string, side: Side = BACK): Promise<void> {
  const recipe = { capabilities: [], parameters: {}, files: FIRMWARE, rounds: 3, ...side };
  await migrateTo(vm, uri, recipe).catch((error: unknown) => {
    if (!/ended before round/u.test(String(error))) throw error;
  });
}

/** A change without its place in the stream. */
function shown({ where, rule, weight }: Change): string {
  return `${where} ${rule} ${weight}`;
}

async function checkGoesOn(t: Test, { loaded: { vm }, truth }: Outcome): Promise<void> {
  t.equal((await compare(vm, truth!)).registersEqual, true, "registers as in the source");
  await runGuest(vm, 50);
  const { differentBlocks } = await compare(vm, truth!);
  t.ok(differentBlocks.includes("pc.ram"), "the guest goes on and writes");
}

type Row = readonly [
  from: string,
  to: string,
  machines: readonly [string, string],
  devices: "bare" | "virtio",
  source: Side,
  destination: Side,
  options: readonly string[],
];

const zstd: Side = {
  capabilities: ["multifd", "return-path"],
  parameters: { "multifd-channels": 3, "multifd-compression": "zstd" },
};
const none: Side = { capabilities: ["multifd", "return-path"], parameters: { "multifd-channels": 2 } };

const ROWS: readonly Row[] = [
  ["7.2", "7.2", ["pc-i440fx-2.6", "pc-i440fx-7.2"], "bare", { capabilities: ["xbzrle", "return-path"] }, {}, []],
  ["7.2", "11.1", ["pc-i440fx-2.6", "pc-i440fx-11.1"], "virtio", BACK, {}, []],
  ["7.2", "10.0", ["pc-i440fx-2.6", "pc-i440fx-10.0"], "bare", none, zstd, ["--multifd", "zstd", "--channels", "3"]],
  ["10.0", "7.2", ["pc-i440fx-10.0", "pc-i440fx-7.2"], "bare", BACK, {}, ["--qemu", "7.2"]],
];

for (const [from, to, machines, kind, source, destination, options] of ROWS) {
  test(`${machines[0]} of ${from} (${kind}) goes on as ${machines[1]} of ${to}, live`, async (t) => {
    const [old, now] = [qemuOf(t, from), qemuOf(t, to)];
    if (old === undefined || now === undefined) return;
    const args = kind === "bare" ? BARE : VIRTIO;
    const files = kind === "bare" ? FIRMWARE : DISKS;
    const printed = from === to;
    if (printed && old.root !== undefined) {
      t.skip("QEMU 7.2 is in a chroot: qevm adapt cannot start it");
      return;
    }
    const migrate = kind === "bare" ? {} : { migrate: booted };
    await adapted(
      old,
      now,
      { machines, args, files, source, destination, options, printed, ...migrate },
      async (outcome, way) => {
        if (!(await arrived(t, way, outcome))) return;
        await checkGoesOn(t, outcome);
        const { adapted: report } = flatDocument(outcome.ended.stdout) as {
          adapted: { machines: object; enough: boolean; changes: Change[] };
        };
        t.deepEqual(report.machines, { old: machines[0], new: machines[1] });
        t.ok(report.enough && report.changes.length > 1, `${report.changes.length} changes`);
      },
    );
  });
}

test("a guest that does not fit stays with its source, which goes on", async (t) => {
  const qemu = qemuOf(t, "7.2");
  if (qemu === undefined) return;
  const seen: string[] = [];
  const migrate = async (vm: QemuProcess, uri: string): Promise<void> => {
    await booted(vm, uri).catch(() => undefined);
    for (let i = 0; i < 100 && (await readStatus(vm)) !== "running"; i++) await sleep(50);
    seen.push(await readStatus(vm));
    const [before] = [await readPhysical(vm, 1 << 20, 2 << 20), await sleep(100)];
    seen.push((await readPhysical(vm, 1 << 20, 2 << 20)).equals(before) ? "it stands still" : "it writes");
  };
  const way = {
    machines: ["pc-i440fx-2.6", "pc-i440fx-7.2"] as const,
    args: BARE,
    files: FIRMWARE,
    more: ["-device", "e1000"],
    source: BACK,
    destination: {},
    migrate,
  };
  await adapted(qemu, qemu, { ...way, options: ["--out", "$DIR/rec"] }, async (outcome, { options }) => {
    const { ended, loaded, truth, folder } = outcome;
    t.equal(ended.code, 1, ended.stderr);
    t.match(ended.stderr, /does not fit the destination, the end of the stream was not sent: .*e1000/u);
    const { adapted: report } = flatDocument(ended.stdout) as {
      adapted: { enough: boolean; refusedChanges: Change[] };
    };
    t.equal(report.enough, false);
    t.deepEqual(
      report.refusedChanges.map(({ rule }) => rule),
      ["section:0000:00:02.0/e1000"],
    );
    t.equal(loaded.result.loaded, false, "the destination has no guest");
    t.equal(truth, undefined, "the source does not complete");
    // What was recorded is an earlier stream of the guest, to find out what its destination needs.
    const like = options[options.indexOf("--like") + 1]!;
    const { code, stdout } = await qevm([
      "adapt",
      join(folder, "rec"),
      "--check",
      "--like",
      like,
      "--lenient",
      "--json",
    ]);
    t.equal(code, 1);
    const again = flatDocument(stdout) as { refusedChanges: Change[] };
    // Merged from a recording, a stream has no commands: its offsets are others.
    t.deepEqual(
      again.refusedChanges.map(shown),
      report.refusedChanges.map(shown),
      "adapt refuses the same of the recording",
    );
    t.deepEqual(seen, ["running", "it writes"], "its guest goes on");
  });
});

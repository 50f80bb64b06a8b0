/** Adapted streams in real QEMUs: loaded, with the registers and memory of the source, and running. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import type { AdaptReport } from "../src/rewrite/adapt/index.js";
import { tryCell } from "../tools/adapt/cell.js";
import { DEVICE_SETS } from "../tools/adapt/cells.js";
import { corpusEntry } from "../tools/corpus.js";
import { compare, destinationLike, readStatus, runGuest, startDestination } from "../tools/destination/index.js";
import { findQemu } from "../tools/qemu/find.js";
import { qemuOf } from "./support/loads.js";
import { qevm } from "./support/program.js";
import { flatDocument } from "./support/document.js";

const scratch = mkdtempSync(join(tmpdir(), "qevm-spec-90-qemu-"));
test.onFinish(() => rmSync(scratch, { recursive: true, force: true }));

test("pc-i440fx-2.3 goes on under pc-i440fx-7.2 by the command that qevm adapt is given and prints", async (t) => {
  const qemu = qemuOf(t, "7.2");
  if (qemu === undefined) return;
  if (qemu.root !== undefined) {
    t.skip("QEMU 7.2 is in a chroot: qevm adapt cannot start it");
    return;
  }
  const entry = corpusEntry("pc-2.3");
  const like = destinationLike(entry);
  const [old, out, disk] = ["old.mig", "new.mig", "boot.img"].map((name) => join(scratch, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(old, entry.open());
  writeFileSync(disk, like.files!["boot.img"]!);
  const args = like.args.map((word) => word.replace("pc-i440fx-2.3", "pc-i440fx-7.2"));
  const given = [...qemu.command, "-accel", "tcg", ...args.map((word) => word.replaceAll("$DIR", scratch))];
  const made = await qevm(["adapt", old, "--out", out, "--json", "--", ...given]);
  t.equal(made.code, 0, made.stderr + made.stdout.slice(0, 500));
  if (made.code !== 0) return;
  const report = flatDocument(made.stdout) as AdaptReport & { command: string[] };
  t.ok(
    report.command.some((word) => /^x86_64-cpu\..+=/u.test(word)),
    "with what the old machine type set",
  );
  const globals = report.command.slice(given.length);
  const { vm, result } = await startDestination({ ...like, args: [...args, ...globals], stream: readFileSync(out) });
  try {
    t.ok(result.loaded, `loaded ${result.error}`);
    if (!result.loaded) return;
    const found = await compare(vm, entry.truth);
    t.ok(found.equalBlocks.includes("pc.ram"), "its memory");
    t.notEqual(found.pmemsaveEqual, false, "and what lies at the addresses");
    t.equal(found.registersEqual, true, "its registers");
    await runGuest(vm, 300);
    t.equal(await readStatus(vm), "paused", "and it ran");
  } finally {
    await vm.close();
  }
});

test("pc-i440fx-1.7, whose stream describes no state, goes on with another capture as its schema", async (t) => {
  const qemu = qemuOf(t, "7.2");
  if (qemu === undefined) return;
  const cell = { old: qemu, now: qemu, from: "pc-i440fx-1.7", to: "pc-i440fx-7.2", args: ["-m", "64"], run: 1500 };
  const { passed, at, why, globals } = await tryCell(cell);
  t.ok(passed, `${at} ${why}`);
  t.deepEqual(globals.slice(0, 2), ["-vga", "cirrus"], "the display adapter that was the default");
  t.ok(globals.includes("PIIX4_PM.acpi-pci-hotplug-with-bridge-support=off"), "and what that machine type set");
});

const CELLS = [
  ["pc-i440fx-2.3", "usb"],
  ["pc-i440fx-2.6", "virtio"],
  ["pc-q35-4.2", "disks"],
] as const;

for (const [from, name] of CELLS) {
  test(`${from} with ${name}, saved by QEMU 7.2, goes on under the newest machine type of 11.1`, async (t) => {
    const [old, now] = [findQemu("7.2"), findQemu("11.1")];
    if (old === undefined || now === undefined) {
      t.skip("no QEMU 7.2 and 11.1 here");
      return;
    }
    const family = from.replace(/-[\d.]+$/u, "");
    const set = DEVICE_SETS.find((one) => one.name === name)!;
    const args = ["-m", "64", ...set.args(family).trim().split(/\s+/u)];
    const { passed, at, why } = await tryCell({ old, now, from, to: `${family}-11.1`, args, run: 1500 });
    t.ok(passed, `${at} ${why}`);
  });
}

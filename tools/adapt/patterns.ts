/** Makes the patterns that the specification adapts to: `node dist/tools/adapt/patterns.js`, with a QEMU 11.1 here. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { exit } from "node:process";
import { gzipSync } from "node:zlib";
import { direct, fillFirmware } from "../capture/entries/parts.js";
import { projectRoot } from "../corpus.js";
import { findQemu } from "../qemu/find.js";
import { makeWorkFolder, QemuProcess } from "../qemu/process.js";
import { saved } from "./cell.js";

const qemu = findQemu("11.1");
if (qemu === undefined) {
  console.log("no QEMU 11.1 here");
  exit(1);
}
for (const [name, machine] of [
  ["pc", "pc-i440fx-11.1"],
  ["q35", "pc-q35-11.1"],
] as const) {
  const folder = makeWorkFolder(qemu);
  writeFileSync(join(folder, fillFirmware.name), fillFirmware.content());
  const vm = await QemuProcess.start(qemu, [...direct(machine), "-S"], folder);
  try {
    writeFileSync(join(projectRoot(), `spec/support/pattern-${name}-11.1.gz`), gzipSync(await saved(vm), { level: 9 }));
  } finally {
    await vm.close();
  }
}

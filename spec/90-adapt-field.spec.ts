/** Guests of public reports whose QEMU was to be a newer one: adapted, and loaded by the newest QEMU under its newest type. */
import { readFileSync } from "node:fs";
import { env } from "node:process";
import { gunzipSync } from "node:zlib";
import test from "tape";
import { explainStream } from "../src/index.js";
import { tryCell } from "../tools/adapt/cell.js";
import { findQemu } from "../tools/qemu/find.js";

/** File, and what of it is in the way. The first ones are always tried, the others by `npm run test:versions`. */
const FILES: readonly (readonly [name: string, why: string])[] = [
  ["vring1024", "virtqueues of 1024 entries that 10.0 saved of a device without a driver"],
  ["rom256k", "an option ROM of another size"],
  ["machine-bionic", "a distribution's machine type"],
  ["net-no-msix", "a virtio device without MSI-X"],
  ["maxcpus-q35", "more possible CPUs than there are"],
  ["root-port-port", "the number of a port"],
  ["ahci-multifunction", "a device of several functions"],
  ["uhci-masterbus", "a companion controller"],
];
const ALWAYS = 3;

for (const [i, [name, why]] of FILES.entries()) {
  test(`${name}: ${why}`, async (t) => {
    const [old, now] = [findQemu("7.2"), findQemu("11.1")];
    if (old === undefined || now === undefined) {
      t.skip("no QEMU 7.2 and 11.1 here");
      return;
    }
    if (i >= ALWAYS && env["QEVM_VERSIONS"] !== "all") {
      t.skip("tried by npm run test:versions");
      return;
    }
    const stream = readFileSync(new URL(`../../corpus/field/${name}.bin`, import.meta.url));
    const { machine, destination } = await explainStream(stream);
    const [, , ...rest] = destination.arguments;
    const args = rest.map((word) => (word === "BIOS" ? "$DIR/zbios" : word));
    const to = machine!.includes("q35") ? "pc-q35-11.1" : "pc-i440fx-11.1";
    const plain = stream[0] === 0x1f ? gunzipSync(stream) : stream;
    const cell = { old, now, from: machine!, to, args, run: 0, files: { zbios: Buffer.alloc(1 << 16) } };
    const { passed, at, why: said } = await tryCell(cell, { stream: plain, registers: "", memory: "", said: "" });
    t.ok(passed, `${at} ${said}`);
  });
}

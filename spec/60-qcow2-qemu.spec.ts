/** Snapshots of a real QEMU, and every table of theirs spoilt. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test from "tape";
import {
  decodeQcow2Header,
  encodeQcow2Header,
  encodeSnapshot,
  openContainers,
  readSnapshots,
} from "../src/io/container/index.js";
import { QevmError } from "../src/bytes/errors.js";
import { MemorySource } from "../src/bytes/source.js";
import { findQemus } from "../tools/qemu/find.js";
import { QemuProcess } from "../tools/qemu/process.js";
import { qevm } from "./support/program.js";
import { bytesOf } from "./support/container-bytes.js";
import { refusal } from "./support/bytes.js";
import { sha256Of } from "../tools/sha256.js";

const qemu = findQemus()[0];
const noQemu =
  qemu === undefined
    ? "no qemu-system-x86_64 here"
    : spawnSync("qemu-img", ["--version"]).error !== undefined
      ? "no qemu-img here"
      : "";

for (const [name, options] of [
  ["version 3", "compat=1.1"],
  ["version 2", "compat=0.10"],
  ["small clusters", "cluster_size=4k"],
  ["extended L2", "extended_l2=on,cluster_size=64k"],
] as const) {
  test(`qcow2, ${name}: two snapshots of a real QEMU`, noQemu === "" ? {} : { skip: noQemu }, async (t) => {
    const work = mkdtempSync(join(tmpdir(), "qevm-qcow2-"));
    const file = join(work, "disk.qcow2");
    try {
      spawnSync("qemu-img", ["create", "-q", "-f", "qcow2", "-o", options, file, "3M"]);
      const args = ["-machine", "pc", "-m", "16", "-nodefaults", "-S", "-drive", `file=${file},format=qcow2,if=ide`];
      const vm = await QemuProcess.start(qemu!, args);
      const truth: string[] = [];
      try {
        for (const mark of ["first", "second one"]) {
          if (mark !== "first") {
            await vm.execute("cont");
            await sleep(300);
            await vm.execute("stop");
          }
          await vm.human(`pmemsave 0 0xa0000 "${join(work, "pmem")}"`);
          truth.push(sha256Of(readFileSync(join(work, "pmem"))));
          await vm.human(`savevm "${mark}"`);
        }
      } finally {
        await vm.close();
      }
      const none = await qevm(["inspect", file]);
      t.equal(none.code, 2, "which one must be said");
      t.match(none.stderr, /"first", id 1,.*--snapshot first\n\s+"second one", id 2,/u);
      for (const [k, mark] of ["first", "second one"].entries()) {
        const verified = await qevm(["verify", file, "--snapshot", mark, "--json"]);
        t.equal(verified.code, 0, verified.stderr);
        const out = join(work, `out${k}`);
        const extracted = await qevm(["extract", file, "--snapshot", mark, "--format", "blocks", "--out", out]);
        t.equal(extracted.code, 0, extracted.stderr);
        const low = readFileSync(join(out, "pc.ram")).subarray(0, 0xa0000);
        t.equal(sha256Of(low), truth[k], `memory of ${mark}`);
      }
      const bytes = readFileSync(file);
      const header = decodeQcow2Header(bytes);
      t.deepEqual(Buffer.from(encodeQcow2Header(header)), bytes.subarray(0, header.headerLength), "header");
      const snapshots = await readSnapshots(new MemorySource(bytes), header);
      const table = Buffer.concat(snapshots.map((snapshot) => encodeSnapshot(snapshot)));
      const at = Number(header.snapshotsOffset);
      // The last entry may be at the file's very end, without its padding.
      const there = bytes.subarray(at, at + table.length);
      t.ok(there.length > table.length - 8, "snapshot table, whole");
      t.deepEqual(table.subarray(0, there.length), there, "snapshot table");
      t.notEqual(truth[0], truth[1], "the two memories differ");
      const l1 =
        Number(snapshots[0]!.l1TableOffset) +
        8 * Math.ceil(3 / ((2 ** header.clusterBits) ** 2 / (options.includes("extended") ? 16 : 8) / 2 ** 20));
      await corrupt(t, bytes, l1);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
    t.end();
  });
}

/** Every way to spoil the first L1 entry of the state, and the first L2 entry, is an error at its place. */
async function corrupt(t: test.Test, bytes: Buffer, l1: number): Promise<void> {
  const spoil = async (at: number, value: bigint): Promise<QevmError | undefined> => {
    const copy = Buffer.from(bytes);
    copy.writeBigUInt64BE(value, at);
    return await refusal(
      async () => await bytesOf(await openContainers(new MemorySource(copy), { snapshot: "first" })),
    );
  };
  const entry = bytes.readBigUInt64BE(l1);
  const l2 = Number(entry & 0x00fffffffffffe00n);
  const cluster = bytes.readBigUInt64BE(l2);
  const copied = 1n << 63n;
  for (const [what, at, value] of [
    ["L1 entry outside the file", l1, copied | (1n << 50n)],
    ["L1 entry that is not aligned", l1, entry + 512n],
    ["L1 entry with reserved bits", l1, entry | 4n],
    ["L1 entry that leads back to the L1 table", l1, copied | BigInt(l1 - (l1 % 4096))],
    ["L2 entry that leads back to its table", l2, copied | BigInt(l2)],
    ["L2 entry outside the file", l2, copied | (1n << 50n)],
    ["L2 entry that is not aligned", l2, cluster + 512n],
  ] as const) {
    const error = await spoil(at, value);
    t.equal(error?.offset, at, `${what}: ${error?.message}`);
  }
}

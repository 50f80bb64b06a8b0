/** A counter that goes on: the HPET of a machine type that does not save what it is ahead of the clock. */
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test from "tape";
import { MemorySink, MemorySource } from "../src/bytes/source.js";
import { planAdapt } from "../src/rewrite/adapt/plan.js";
import { survey } from "../src/rewrite/adapt/survey.js";
import { writeAdapted } from "../src/rewrite/adapt/write.js";
import { patternOf, saved, type Cell } from "../tools/adapt/cell.js";
import { startDestination } from "../tools/destination/index.js";
import { findQemu } from "../tools/qemu/find.js";
import { makeWorkFolder, QemuProcess } from "../tools/qemu/process.js";

/** General configuration and main counter of the HPET. */
const ENABLE = "writeq 0xfed00010 1";
const COUNTER = "readq 0xfed000f0";
const bios = Buffer.alloc(1 << 16);
const args = "-m 8 -nodefaults -vga none -bios $DIR/bios -qtest unix:$DIR/qtest.sock,server=on,wait=off".split(" ");

/** What a machine's qtest port answers. */
async function qtest(vm: QemuProcess, line: string): Promise<string> {
  const socket = connect(vm.file("qtest.sock"));
  let text = "";
  socket.setEncoding("latin1").on("data", (piece: string) => (text += piece));
  socket.write(`${line}\n`);
  while (!text.includes("\n")) await sleep(10);
  socket.destroy();
  return text.trim();
}

test("an HPET that counts goes on where it was in 11.1", async (t) => {
  const [old, now] = [findQemu("7.2"), findQemu("11.1")];
  if (old === undefined || now === undefined) {
    t.skip("no QEMU 7.2 and 11.1 here");
    return;
  }
  const cell: Cell = { old, now, from: "pc-q35-2.11", to: "pc-q35-11.1", args, run: 0, files: { bios } };
  const folder = makeWorkFolder(old);
  writeFileSync(join(folder, "bios"), bios);
  const vm = await QemuProcess.start(old, ["-machine", cell.from, ...args, "-qtest-log", "none"], folder);
  let stream: Buffer;
  let counter: string;
  try {
    await sleep(300);
    await qtest(vm, ENABLE);
    await sleep(100);
    await vm.execute("stop");
    counter = await qtest(vm, COUNTER);
    stream = await saved(vm);
  } finally {
    await vm.close();
  }
  const known = await survey(new MemorySource(stream), {});
  const { pattern, globals, facts } = await patternOf(cell, known);
  const plan = planAdapt(known, await survey(new MemorySource(pattern), {}), facts);
  t.ok(
    plan.changes.some(({ rule }) => rule === "hpet-offset"),
    "what its stream does not say is listed",
  );
  const sink = new MemorySink();
  await writeAdapted(plan, new MemorySource(stream), new MemorySource(pattern), sink, {});
  const line = ["-machine", cell.to, ...args, ...globals];
  const { vm: there, result } = await startDestination({
    qemu: now,
    args: line,
    stream: Buffer.from(sink.bytes()),
    files: { bios },
  });
  try {
    t.ok(result.loaded, `loaded ${result.error}`);
    t.equal(await qtest(there, COUNTER), counter, "the counter of the stopped guest");
  } finally {
    await there.close();
  }
});

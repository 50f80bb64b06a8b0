import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test from "tape";
import { type CorpusEntry, corpusEntry, projectRoot } from "../tools/corpus.js";
import {
  breakages,
  compare,
  type Destination,
  destinationLike,
  readPhysical,
  readRamBlock,
  readRegisters,
  readStatus,
  runGuest,
  startDestination,
} from "../tools/destination/index.js";
import { applies, linesOf, readRefusals, refuse } from "../tools/destination/refusals.js";
import { readyMark } from "../tools/guest/listing.js";
import { findQemus, type QemuBinary } from "../tools/qemu/find.js";

const qemus = findQemus();
const noQemu = "no qemu-system-x86_64 here (apt-get install --no-install-recommends qemu-system-x86)";

/** The binary of that version, or undefined with a printed reason. */
function qemuOf(t: test.Test, version: string): QemuBinary | undefined {
  const found = qemus.find((qemu) => qemu.version === version);
  if (found === undefined) t.skip(qemus.length === 0 ? noQemu : `no QEMU ${version} here`);
  return found;
}

/** Loads, passes on the destination, and ends it in any case. */
async function withDestination(
  options: Parameters<typeof startDestination>[0],
  use: (destination: Destination) => Promise<void> | void,
): Promise<void> {
  const destination = await startDestination(options);
  try {
    await use(destination);
  } finally {
    await destination.vm.close();
  }
}

/** Round counter of the guest that dirties memory. */
const rounds = async ({ vm }: Destination): Promise<number> => (await readPhysical(vm, 0x600, 8)).readUInt32LE(4);

for (const [version, name] of [
  ["7.2", "live"],
  ["5.2", "v5.2-live"],
  ["10.0", "v10.0-live"],
  ["11.1", "v11.1-live"],
] as const) {
  test(`QEMU ${version} loads ${name} with the source's memory, and the guest continues`, async (t) => {
    const qemu = qemuOf(t, version);
    if (qemu === undefined) return;
    const entry = corpusEntry(name);
    await withDestination(destinationLike(entry), async (destination) => {
      const { vm, result } = destination;
      t.deepEqual([result.loaded, result.status, result.error, result.signal], [true, "completed", "", null]);
      const found = await compare(vm, entry.truth);
      t.deepEqual(
        found.equalBlocks,
        entry.truth.blocks.map((block) => block.name),
        "every block is equal",
      );
      t.deepEqual([found.pmemsaveEqual, found.registersEqual, found.runState], [true, true, "paused"]);
      const registers = await readRegisters(vm);
      const round = await rounds(destination);
      t.equal(registers.get("EBX"), BigInt(round), "ebx is the round counter in memory");
      const ram = await readRamBlock(vm, "pc.ram");
      t.equal(ram?.readUInt32LE(0x600), readyMark, "the guest's mark, read from QEMU's own memory");
      await runGuest(vm, 100);
      t.ok((await rounds(destination)) > round, "more rounds after it ran");
      t.equal(await readStatus(vm), "paused");
    });
  });
}

for (const [name, version] of [
  ["v5.2-live", "7.2"],
  ["v5.2-live", "11.1"],
  ["xbzrle", "10.0"],
  ["live", "10.0"],
  ["live", "11.1"],
  ["q35-common-devices", "11.1"],
] as const) {
  test(`QEMU ${version} loads ${name} of an older version on the same machine type`, async (t) => {
    const qemu = qemuOf(t, version);
    if (qemu === undefined) return;
    const entry = corpusEntry(name);
    await withDestination(destinationLike(entry, { qemu }), async ({ vm, result }) => {
      t.equal(result.loaded, true, result.error);
      const found = await compare(vm, entry.truth);
      t.deepEqual(
        found.equalBlocks,
        entry.truth.blocks.map((block) => block.name),
        "every block is equal",
      );
      t.deepEqual([found.pmemsaveEqual, found.registersEqual], [true, true]);
    });
  });
}

test("QEMU 10.0 and later refuse compressed pages; 7.2 does without its capability", async (t) => {
  for (const version of ["7.2", "10.0", "11.1"]) {
    const qemu = qemuOf(t, version);
    if (qemu === undefined) continue;
    const entry = corpusEntry("compress-live");
    await withDestination(destinationLike(entry, { qemu, capabilities: [] }), ({ result }) => {
      t.equal(result.loaded, false, version);
      const words =
        version === "7.2" ? /unexpected compressed page/u : /Unknown combination of migration flags: 0x120/u;
      t.match(result.error, words);
    });
  }
});

/** The fill guest's stream with one byte of a text page changed. */
function withChangedByte({ open }: CorpusEntry): Buffer {
  const bytes = open();
  const at = bytes.indexOf("fox jumps again", 0, "latin1");
  bytes.write("F", at, "latin1");
  return bytes;
}

test("a comparison that should fail fails", async (t) => {
  if (qemuOf(t, "7.2") === undefined) return;
  const entry = corpusEntry("pc-4.2");
  await withDestination(destinationLike(entry, { stream: withChangedByte(entry) }), async ({ vm, result }) => {
    t.equal(result.loaded, true, "one other byte of memory loads");
    const found = await compare(vm, entry.truth);
    t.deepEqual(found.differentBlocks, ["pc.ram"]);
    t.equal(found.equalBlocks.length, entry.truth.blocks.length - 1);
    t.deepEqual([found.pmemsaveEqual, found.registersEqual], [false, true]);
  });
});

test("hot-plugged memory is plugged in before the load", async (t) => {
  if (qemuOf(t, "7.2") === undefined) return;
  const entry = corpusEntry("hotplug");
  await withDestination(destinationLike(entry), async ({ vm, result }) => {
    t.deepEqual([result.loaded, result.error], [true, ""]);
    t.deepEqual((await compare(vm, entry.truth)).differentBlocks, []);
  });
  await withDestination({ ...destinationLike(entry), before: [] }, ({ result }) => {
    t.equal(result.loaded, false, "and without it the stream is refused");
    t.match(result.error, /Unknown ramblock "mem-hot2", cannot accept migration/u);
  });
});

test("a stream over a unix socket, in pieces", async (t) => {
  if (qemuOf(t, "7.2") === undefined) return;
  const entry = corpusEntry("machine-none");
  const bytes = entry.open();
  const options = destinationLike(entry, { stream: "unix:$DIR/incoming.sock" });
  const send: typeof options.onListening = async (vm) => {
    const socket = connect(vm.file("incoming.sock"));
    for (let at = 0; at < bytes.length; at += 3000) {
      socket.write(bytes.subarray(at, at + 3000));
      await sleep(1);
    }
    socket.end();
  };
  await withDestination({ ...options, onListening: send }, async ({ vm, result }) => {
    t.deepEqual([result.loaded, result.status], [true, "completed"]);
    t.deepEqual((await compare(vm, entry.truth)).equalBlocks, ["ram"]);
  });
});

test("failures are reported: an assertion, wrong arguments, no sender", async (t) => {
  const qemu = qemuOf(t, "7.2");
  if (qemu === undefined) return;
  await withDestination(destinationLike(corpusEntry("isapc-firmware")), ({ result }) => {
    t.deepEqual([result.loaded, result.status, result.signal], [false, "exited", "SIGABRT"]);
    t.match(result.error, /memory_region_set_alias_offset: Assertion/u);
  });
  try {
    const { vm } = await startDestination({ qemu, args: ["-machine", "nonesuch"], stream: new Uint8Array() });
    await vm.close();
    t.fail("started");
  } catch (error) {
    t.match(String(error), /unsupported machine type/u);
  }
  const silent = { qemu, args: ["-machine", "none"], stream: "unix:$DIR/incoming.sock", timeout: 300 };
  await withDestination(silent, ({ result }) => t.deepEqual([result.loaded, result.status], [false, "timeout"]));
});

test("broken streams are refused with the recorded messages", async (t) => {
  if (qemus.length === 0) {
    t.skip(noQemu);
    return;
  }
  const words = readRefusals();
  t.deepEqual(
    Object.keys(words),
    breakages.map(({ name }) => name),
    "one row a breakage",
  );
  for (const qemu of qemus) {
    for (const breakage of breakages.filter((item) => applies(item, qemu))) {
      const expected = words[breakage.name]?.[qemu.version];
      const result = await refuse(breakage, qemu);
      t.deepEqual(linesOf(result.error), expected, `${qemu.version}: ${breakage.name}`);
      t.equal(result.loaded, expected?.length === 0, expected?.length === 0 ? "accepted" : "refused");
    }
  }
});

test("the chapter's table has the messages of 7.2", (t) => {
  const page = readFileSync(join(projectRoot(), "spec", "21-destination.md"), "utf8");
  for (const [name, versions] of Object.entries(readRefusals())) {
    const [first = "accepted"] = versions["7.2"] ?? [];
    const row = page.split("\n").find((line) => line.startsWith(`| ${name} |`));
    t.ok(row?.includes(first), `${name}: ${first}`);
  }
  t.end();
});

import test from "tape";
import { verifyStream } from "../src/analyse/inspect/verify.js";
import { namedFill } from "../src/rewrite/generate/fill.js";
import { generateNone, type NoneOptions } from "../src/rewrite/generate/none.js";
import { generateFromTemplate } from "../src/rewrite/generate/template.js";
import { MemorySink, MemorySource } from "../src/bytes/index.js";
import { RamFlag } from "../src/codec/ram/index.js";
import { createStreamWriter, StreamReader } from "../src/codec/stream/index.js";
import { deviceToPlain } from "../src/codec/vmstate/index.js";
import { corpusEntry, listCorpus } from "../tools/corpus.js";
import { readRamBlock, readStatus, startDestination } from "../tools/destination/index.js";
import { refusal } from "./support/bytes.js";
import { loads, qemuOf } from "./support/loads.js";
import { mappedRamFile } from "./support/mapped-ram-file.js";
import { sha256Of } from "../tools/sha256.js";

async function made(options: Partial<NoneOptions>): Promise<Uint8Array> {
  const sink = new MemorySink();
  const defaults = { memory: 8 << 20, fill: namedFill("zero", 1), pages: "normal", level: 1, qemu: [7, 2] } as const;
  await generateNone(sink, { ...defaults, ...options });
  return sink.bytes();
}

/** Those with the framing of their time: nothing switched off. */
const none = listCorpus().filter(
  ({ capture: { machine, capabilities, command } }) =>
    machine === "none" && capabilities.length === 0 && !command.includes("-global"),
);

test("there are captures of -machine none", (t) => {
  t.ok(none.length >= 2, none.map(({ name }) => name).join(", "));
  t.end();
});

for (const entry of none) {
  test(`${entry.name}: made from nothing, byte for byte what QEMU ${entry.capture.version} wrote`, async (t) => {
    const bytes = entry.open();
    let memory = 0;
    let timer: Record<string, unknown> = {};
    for await (const item of new StreamReader(new MemorySource(bytes))) {
      if (item.kind !== "section") continue;
      for await (const batch of item.records()) memory = batch.blockList?.total ?? memory;
      if (item.idstr === "timer" && item.content.kind === "device") timer = item.content.state.fields;
    }
    const [major = 0, minor = 0] = entry.capture.version.split(".").map(Number);
    const again = await made({
      memory,
      qemu: [major, minor],
      ticks: timer["cpu_ticks_offset"] as bigint,
      clock: timer["cpu_clock_offset"] as bigint,
    });
    t.equal(again.length, bytes.length, "length");
    t.ok(bytes.equals(again), "every byte");
  });
}

const MIB = 1 << 20;

for (const [name, options, capabilities] of [
  ["8 MiB of text, raw", { memory: 8 * MIB, fill: namedFill("text", 3) }, []],
  ["8 MiB of text, zlib level 1", { memory: 8 * MIB, fill: namedFill("text", 3), pages: "zlib" }, ["compress"]],
  [
    "8 MiB random, zlib level 9",
    { memory: 8 * MIB, fill: namedFill("random", 3), pages: "zlib", level: 9 },
    ["compress"],
  ],
  ["8 MiB of text, XBZRLE", { memory: 8 * MIB, fill: namedFill("text", 5), pages: "xbzrle" }, ["xbzrle"]],
] as const) {
  test(`${name}: understood, and loaded by a real 7.2 with equal memory`, async (t) => {
    const bytes = await made(options);
    const result = await verifyStream(new MemorySource(bytes));
    t.ok(result.identical && result.opaqueBytes === 0 && result.complete, "understood");
    t.equal(result.recompressed.identicalCount, result.recompressed.pageCount, "compressed pages");
    t.equal(result.deltas.identicalCount, result.deltas.pageCount, "XBZRLE pages");
    const qemu = qemuOf(t, "7.2");
    if (qemu === undefined) return;
    const destination = await startDestination({
      qemu,
      args: ["-machine", "none", "-m", String(options.memory / MIB), "-nodefaults"],
      capabilities: [...capabilities],
      stream: bytes,
    });
    try {
      t.equal(destination.result.status, "completed", `loaded ${destination.result.error}`);
      const held = await readRamBlock(destination.vm, "ram");
      const want = Buffer.alloc(options.memory);
      for (let at = 0; at < want.length; at += 4096) options.fill(want.subarray(at, at + 4096), at);
      t.ok(held?.equals(want), "memory equal");
      t.match(await readStatus(destination.vm), /^(?:running|paused)$/u);
    } finally {
      await destination.vm.close();
    }
  });
}

test("a template with other memory and another register", async (t) => {
  const entry = corpusEntry("live");
  const image = Buffer.alloc(8 * MIB);
  image.write("qevm was here", 0x2000);
  const sink = new MemorySink();
  await generateFromTemplate(new MemorySource(entry.open()), sink, {
    images: new Map([
      ["pc.ram", (offset: number, into: Uint8Array) => image.copy(into, 0, offset, offset + into.length)],
    ]),
    values: [["cpu/0:env.eip", "0x7c00"]],
  });
  const bytes = sink.bytes();
  const result = await verifyStream(new MemorySource(bytes));
  t.ok(result.identical && result.opaqueBytes === 0, "understood");
  for await (const item of new StreamReader(new MemorySource(bytes))) {
    if (item.kind !== "section" || item.idstr !== "cpu" || item.content.kind !== "device") continue;
    t.equal(deviceToPlain(item.content.state).fields["env.eip"], "0x7c00", "eip in the stream");
  }
  const qemu = qemuOf(t, "7.2");
  if (qemu === undefined) return;
  const truth = {
    ...entry.truth,
    pmemsave: [],
    registers: "",
    blocks: entry.truth.blocks.map((block) =>
      block.name === "pc.ram" ? { ...block, sha256: sha256Of(image) } : block,
    ),
  };
  await loads(t, { ...entry, truth }, bytes, "the template's stream");
});

/** A template with `image` in place of a block's memory. */
async function withImage(template: Uint8Array, block: string, image: Buffer): Promise<Uint8Array> {
  const sink = new MemorySink();
  await generateFromTemplate(new MemorySource(template), sink, {
    images: new Map([[block, (offset, into) => image.copy(into, 0, offset, offset + into.length)]]),
    values: [],
  });
  return sink.bytes();
}

/** What the pages of each block hold in the end. */
async function memoryOf(bytes: Uint8Array): Promise<Map<string, Buffer>> {
  const blocks = new Map<string, Buffer>();
  const reader = new StreamReader(new MemorySource(bytes));
  for await (const item of reader) {
    if (item.kind !== "section" || item.content.kind !== "ram") continue;
    for await (const batch of item.records()) {
      for (let i = 0; i < batch.count; i++) {
        const block = batch.block[i];
        if (block === undefined) continue;
        if (!blocks.has(block.idstr)) blocks.set(block.idstr, Buffer.alloc(block.usedLength));
        const memory = blocks.get(block.idstr)!;
        const offset = batch.offset[i]!;
        if (batch.flag[i] === RamFlag.PAGE) memory.set(batch.body(i), offset);
        else memory.fill(batch.fill[i]!, offset, offset + reader.ram.pageSize);
      }
    }
  }
  return blocks;
}

/** Words here and there, with empty pages between. */
function sparseImage(length: number): Buffer {
  const image = Buffer.alloc(length);
  for (let at = 0; at < length; at += 5000) image.writeUInt32LE(at + 1, at & ~3);
  image.fill(0, length / 4, length / 2);
  return image;
}

test("a template whose pages are not of 4 KiB", async (t) => {
  const large = new MemorySink();
  const subsections = [{ name: "configuration/target-page-bits", version: 1, bits: 14 }] as const;
  const writer = createStreamWriter(large, { machine: "virt-11.1", subsections: [...subsections], pageSize: 16_384 });
  const [block] = writer.ram.blocks([{ idstr: "ram", usedLength: 1 << 18 }]);
  void writer.ram.page(block!, 0, new Uint8Array(16_384).fill(7));
  writer.ram.end();
  await writer.finish("none");
  for (const [size, template, name, length] of [
    [1024, corpusEntry("arm-microbit").open(), "nrf51.sram", 16_384],
    [16_384, large.bytes(), "ram", 1 << 18],
  ] as const) {
    const image = sparseImage(length);
    const replaced = await withImage(template, name, image);
    const result = await verifyStream(new MemorySource(replaced));
    t.ok(result.identical && result.complete && result.inspection.pageSize === size, `pages of ${size} bytes`);
    const memory = await memoryOf(replaced);
    t.ok(memory.get(name)?.equals(image), "the image");
    for (const [other, held] of await memoryOf(template)) {
      if (other !== name) t.ok(memory.get(other)?.equals(held), `${other} stays`);
    }
  }
});

test("a mapped-ram template stays one", async (t) => {
  const template = mappedRamFile();
  const before = await memoryOf(template);
  const nothing = new MemorySink();
  await generateFromTemplate(new MemorySource(template), nothing, { images: new Map(), values: [] });
  t.ok(template.equals(nothing.bytes()), "without an image: the same file");
  for (const name of ["pc.ram", "vga.vram", "pc.bios"].filter((one) => before.has(one))) {
    const image = sparseImage(before.get(name)!.length);
    const replaced = await withImage(template, name, image);
    const result = await verifyStream(new MemorySource(replaced));
    t.ok(result.identical && result.complete && result.opaqueBytes === 0, `${name}: understood`);
    t.ok(replaced.length === template.length, "as long as before");
    const after = await memoryOf(replaced);
    for (const [block, held] of before) t.ok(after.get(block)?.equals(block === name ? image : held), block);
  }
});

test("refusals", async (t) => {
  const sink = new MemorySink();
  const template = (values: [string, string][], images: string[] = []) =>
    generateFromTemplate(new MemorySource(corpusEntry("live").open()), sink, {
      images: new Map(images.map((name) => [name, () => 0])),
      values,
    });
  t.equal((await refusal(() => template([["cpu:env.nosuch", "1"]])))?.code, "usage", "a field that is not there");
  t.equal((await refusal(() => template([["nosuch:x", "1"]])))?.code, "usage", "a device that is not there");
  t.equal((await refusal(() => template([], ["nosuch"])))?.code, "usage", "a block that is not there");
  t.equal(
    (await refusal(() => template([["cpu:env.eip", "0x1ffffffffffffffff"]])))?.code,
    "does-not-fit",
    "a large value",
  );
  t.equal((await refusal(() => made({ memory: 4097 })))?.code, "usage", "memory of half a page");
  t.equal((await refusal(() => made({ pages: "zlib", qemu: [10, 0] })))?.code, "usage", "zlib for 10.0");
});

/** The code of what `run` refuses with. */
async function codes(run: () => unknown): Promise<string | undefined> {
  return (await refusal(run))?.code;
}

test("the writer refuses another order and pages outside a block", async (t) => {
  const writer = createStreamWriter(new MemorySink(), { machine: "none" });
  const [block] = writer.ram.blocks([{ idstr: "ram", usedLength: 8192 }]);
  if (block === undefined) throw new Error("no block");
  t.equal(await codes(() => writer.ram.page(block, 8192, new Uint8Array(4096))), "does-not-fit", "after the block");
  t.equal(await codes(() => writer.ram.page(block, 1, new Uint8Array(4096))), "does-not-fit", "between pages");
  t.equal(await codes(() => writer.ram.page(block, 0, new Uint8Array(4095))), "does-not-fit", "a short page");
  t.equal(await codes(() => writer.finish()), "usage", "the end before the last round");
  writer.ram.end();
  t.equal(await codes(() => writer.ram.zero(block, 0)), "usage", "pages after the last round");
  await writer.finish("none");
  t.equal(await codes(() => writer.finish()), "usage", "two ends");
});

/** Raw files are made of main memory's own file where it is at the expected place, and copied where it is not: the same bytes either way. */
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { extractBlocks } from "../src/guest/files/extract-blocks.js";
import { extractPhysical } from "../src/guest/files/extract-physical.js";
import { MemorySink, MemorySource } from "../src/bytes/index.js";
import { createStreamWriter } from "../src/codec/stream/index.js";
import { FileSource } from "../src/io/transport/file.js";

const PAGE = 4096;
const MIB = 1 << 20;
const GIB = 2 ** 30;

const work = mkdtempSync(join(tmpdir(), "qevm-raw-"));
const out = join(work, "out");
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

/** A page that says where it is in its block. */
function pageAt(offset: number): Buffer {
  return Buffer.alloc(PAGE, `${offset} `);
}

/** A stream of main memory, a ROM and firmware that has a few pages; one comes twice. */
async function stream(machine: string, length: number, offsets: readonly number[]): Promise<Uint8Array> {
  const sink = new MemorySink();
  const writer = createStreamWriter(sink, { machine, pageSize: PAGE });
  const [ram, rom, bios] = writer.ram.blocks([
    { idstr: "pc.ram", usedLength: length },
    { idstr: "pc.rom", usedLength: 128 * 1024 },
    { idstr: "pc.bios", usedLength: 256 * 1024 },
  ]);
  for (const offset of offsets) await writer.ram.page(ram!, offset, Buffer.alloc(PAGE, "earlier"));
  writer.ram.endRound();
  for (const offset of offsets) await writer.ram.page(ram!, offset, pageAt(offset));
  await writer.ram.page(rom!, 0, Buffer.alloc(PAGE, "rom"));
  await writer.ram.page(bios!, 0x3f000, Buffer.alloc(PAGE, "bios"));
  writer.ram.end();
  await writer.finish();
  return sink.bytes();
}

function readAt(at: number): string {
  const bytes = Buffer.alloc(16);
  const fd = openSync(out, "r");
  const n = readSync(fd, bytes, 0, 16, at);
  closeSync(fd);
  return n === 0 ? "end" : bytes.toString("latin1").replace(/\0+$/u, "");
}

const OFFSETS = [0, 0xc0000, 0xc1000, 0xff000, MIB, 2 * GIB - PAGE, 2 * GIB, 3 * GIB - PAGE, 3 * GIB, 4 * GIB - PAGE];

/** What is at an address: text of a page, "" for zeros. */
type Seen = readonly (readonly [number, string])[];

const text = (offset: number): string => pageAt(offset).toString("latin1", 0, 16);
const FIRST: Seen = [
  [0, text(0)],
  [0xc0000, "romromromromromr"],
  [0xc1000, ""],
  [0xff000, "biosbiosbiosbios"],
  [MIB, text(MIB)],
  [2 * GIB - PAGE, text(2 * GIB - PAGE)],
];

const CASES: readonly [string, string, string | undefined, Seen][] = [
  [
    "pc: in place, split at 3 GiB",
    "pc-i440fx-7.2",
    undefined,
    [
      ...FIRST,
      [3 * GIB - PAGE, text(3 * GIB - PAGE)],
      [3 * GIB, ""],
      [4 * GIB, text(3 * GIB)],
      [5 * GIB - PAGE, text(4 * GIB - PAGE)],
    ],
  ],
  [
    "q35: in place, split at 2 GiB",
    "pc-q35-7.2",
    undefined,
    [...FIRST, [2 * GIB, ""], [4 * GIB, text(2 * GIB)], [6 * GIB - PAGE, text(4 * GIB - PAGE)]],
  ],
  [
    "a layout that is not the expected one",
    "pc-q35-7.2",
    "pc.ram@0:0:0xc0000000,pc.ram@0x140000000:0xc0000000:0x40000000,pc.rom@0xc8000000",
    [
      [0xc0000, text(0xc0000)],
      [2 * GIB, text(2 * GIB)],
      [3 * GIB - PAGE, text(3 * GIB - PAGE)],
      [0xc8000000, "romromromromromr"],
      [5 * GIB, text(3 * GIB)],
      [6 * GIB - PAGE, text(4 * GIB - PAGE)],
    ],
  ],
  [
    "a part of memory, hidden parts larger than a hole",
    "pc-i440fx-7.2",
    "pc.ram@0:0:0x80000000",
    [...FIRST.slice(0, 1), [0xc0000, text(0xc0000)], [2 * GIB - PAGE, text(2 * GIB - PAGE)]],
  ],
];

for (const [name, machine, layout, seen] of CASES) {
  test(name, async (t) => {
    const bytes = await stream(machine, 4 * GIB, OFFSETS);
    const { segments, fileLength: length } = await extractPhysical(new MemorySource(bytes), out, {
      format: "raw",
      layout,
    });
    const last = segments.at(-1)!;
    t.equal(statSync(out).size, length, "bytes");
    t.equal(length, last.start + last.length, "to the end of memory");
    t.ok(statSync(out).blocks * 512 < MIB / 4, "as sparse as the stream, the VGA window aside");
    for (const [address, content] of seen) t.equal(readAt(address), content, `0x${address.toString(16)}`);
    t.equal(readAt(length), "end");
    t.deepEqual(readdirSync(work), ["out"], "nothing is left behind");
    const from = seen.at(-1)![0];
    await extractPhysical(new MemorySource(bytes), out, { format: "raw", layout, from, length: PAGE });
    t.equal(readAt(0), seen.at(-1)![1], "the same when only that page is asked for");
    t.end();
  });
}

test("a long file: pages end up where memory that was written directly has them", async (t) => {
  const length = 40 * MIB;
  const truth = { "pc.ram": Buffer.alloc(length), "pc.rom": Buffer.alloc(128 * 1024) };
  const sink = new MemorySink();
  const writer = createStreamWriter(sink, { machine: "pc-i440fx-7.2", pageSize: PAGE });
  const [ram, rom] = writer.ram.blocks([
    { idstr: "pc.ram", usedLength: length },
    { idstr: "pc.rom", usedLength: 128 * 1024 },
  ]);
  const put = async (block: typeof ram, offset: number, page: Buffer): Promise<void> => {
    truth[block!.idstr as keyof typeof truth].set(page, offset);
    await writer.ram.page(block!, offset, page);
  };
  for (const round of [0, 1]) {
    for (let k = 0; k < length / PAGE; k++) {
      const offset = k * PAGE;
      if (k % 97 === 13) await put(rom, (k % 32) * PAGE, Buffer.alloc(PAGE, `rom ${k}.${round} `));
      // The second round: some pages again, some of them now zero; a stretch backwards.
      if (round === 1 && k % 5 !== 0) continue;
      const at = round === 1 && k > 4000 && k < 6000 ? (10_000 - k) * PAGE : offset;
      await put(ram, at, round === 1 && k % 15 === 0 ? Buffer.alloc(PAGE) : Buffer.alloc(PAGE, `${at}.${round} `));
    }
    if (round === 0) writer.ram.endRound();
  }
  writer.ram.end();
  await writer.finish();
  const file = join(work, "long.mig");
  writeFileSync(file, sink.bytes());
  const blocks = join(work, "long");
  const ways = {
    "written here": Number.POSITIVE_INFINITY,
    "by another thread": 0,
    "by another thread later": 10 * MIB,
  };
  for (const [how, threadAfter] of Object.entries(ways)) {
    const source = FileSource.open(file);
    await extractBlocks(source, blocks, { threadAfter });
    source.close();
    for (const [name, bytes] of Object.entries(truth)) {
      t.equal(Buffer.compare(readFileSync(join(blocks, name)), bytes), 0, `${name}, ${how}`);
    }
    rmSync(blocks, { recursive: true });
  }
  t.end();
});

import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { refusal } from "./support/bytes.js";
import { Tap } from "../src/analyse/inspect/compare.js";
import { QemuFileReader, QemuFileWriter, type ByteSource } from "../src/bytes/index.js";
import { FileSource } from "../src/io/transport/file.js";

/** Enough for many pieces: they are 512 KiB, and nothing is read ahead in files below 8 MiB. */
const LENGTH = 29_000_003;

/** Bytes that depend on their position. */
const BYTES = new Uint8Array(LENGTH);
for (let at = 0; at < LENGTH; at++) BYTES[at] = (at ^ (at >> 8) ^ (at >> 16)) & 0xff;

interface Calls {
  ahead: number;
  beside: number;
  reads: number;
  seeks: number;
}

function noCalls(): Calls {
  return { ahead: 0, beside: 0, reads: 0, seeks: 0 };
}

interface Manner {
  /** Reading ahead fails from here on. */
  fails?: number;
  /** It can be read while a piece is under way. */
  beside?: boolean;
}

/** A source whose pieces arrive late and short, and that detects other reads while one is in progress. */
function lateSource(shorten: (length: number) => number, calls: Calls, manner: Manner = {}): ByteSource {
  const { fails = Number.POSITIVE_INFINITY, beside = false } = manner;
  let position = 0;
  let underWay = false;
  const take = (from: number, into: Uint8Array): number => {
    const n = Math.max(0, Math.min(into.length, Math.max(1, shorten(into.length)), LENGTH - from));
    into.set(BYTES.subarray(from, from + n));
    return n;
  };
  return {
    length: LENGTH,
    read(into) {
      calls.reads++;
      if (underWay) throw new Error("read while a piece is under way");
      const n = take(position, into);
      position += n;
      return n;
    },
    seek(to) {
      calls.seeks++;
      if (underWay && !beside) throw new Error("sought while a piece is under way");
      position = to;
    },
    readBeside: beside
      ? (from, into) => {
          calls.beside++;
          if (from > fails) throw new Error("the disk is gone, too");
          return take(from, into);
        }
      : undefined,
    readAhead: async (from, into) => {
      calls.ahead++;
      if (underWay) throw new Error("two pieces are under way");
      const before = into.slice();
      const n = take(from, into);
      const late = into.slice(0, n);
      into.set(before);
      underWay = true;
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
      underWay = false;
      if (from > fails) throw new Error("the disk is gone");
      into.set(late);
      return n;
    },
  };
}

function checkView(bytes: Uint8Array, at: number): boolean {
  return Buffer.compare(bytes, BYTES.subarray(at, at + bytes.length)) === 0;
}

/**
 * Reads everything in pieces of the given lengths (negative: skipped). Returns the offset of the first wrong byte, or
 * the length.
 */
async function readAll(source: ByteSource, lengths: readonly number[]): Promise<number> {
  const reader = new QemuFileReader(source, { readAhead: true });
  for (let i = 0; ; i++) {
    const { offset } = reader;
    const n = lengths[i % lengths.length]!;
    if (n < 0) {
      await reader.discard(Math.min(-n, LENGTH - offset));
      continue;
    }
    if (!(await reader.fill(n))) {
      return checkView(reader.view(reader.available), offset) && reader.atEnd ? reader.offset : offset;
    }
    if (!checkView(reader.view(n), offset)) return offset;
  }
}

test("read-ahead returns the same bytes", async (t) => {
  const ways: Record<string, readonly number[]> = {
    "pages and their headers": [8, 4096],
    "one byte, then more than the room before a piece": [1, 70_000, 8],
    "longer than a piece": [4104, 9_000_000],
    "passed over within and beyond a piece": [4104, -100_000, 4104, -6_000_000, 12],
    "passed over to the end": [4_000_000, -25_000_003, 3],
  };
  const shortened: Record<string, (length: number) => number> = {
    whole: (length) => length,
    halves: (length) => length >> 1,
    "odd ones": (length) => Math.min(length, 777_777),
  };
  for (const [how, shorten] of Object.entries(shortened)) {
    for (const [way, lengths] of Object.entries(ways)) {
      for (const beside of [false, true]) {
        const calls = noCalls();
        const source = lateSource(shorten, calls, { beside });
        t.equal(await readAll(source, lengths), LENGTH, `${way}, pieces ${how}${beside ? ", read by two" : ""}`);
        if (!way.startsWith("pages")) continue;
        t.ok(calls.ahead > 20 && calls.reads < 6, `${calls.ahead} pieces were read ahead`);
        t.equal(calls.beside > 20, beside, `${calls.beside} beside them`);
      }
    }
  }
});

/** Writes what it reads in pieces of the given lengths again, with the byte at `wrong` changed, to what kept it. */
async function again(source: ByteSource, lengths: readonly number[], wrong?: number): Promise<Tap> {
  const tap = new Tap(source);
  const reader = new QemuFileReader(tap, { readAhead: true });
  const writer = new QemuFileWriter(tap.sink);
  tap.writer = writer;
  for (let i = 0; reader.offset < LENGTH; i++) {
    const { offset } = reader;
    const n = Math.min(lengths[i % lengths.length]!, LENGTH - offset);
    await reader.need(n);
    const bytes = reader.bytes(n);
    if (wrong !== undefined && wrong >= offset && wrong < offset + n) bytes[wrong - offset]! ^= 1;
    writer.bytes(bytes);
    await writer.drain();
  }
  await reader.fill(1);
  await writer.flush();
  return tap;
}

test("what was read ahead is compared before its memory is used again", async (t) => {
  const pages = [8, 4096];
  const ways = { pages, "longer than a piece": [4104, 9_000_000], "more than the room before a piece": [70_000, 8] };
  for (const [how, shorten] of Object.entries({ whole: Infinity, "odd ones": 777_777, short: 300_001 })) {
    for (const beside of [false, true]) {
      const source = (calls = noCalls()): ByteSource => lateSource((n) => Math.min(n, shorten), calls, { beside });
      const name = `pieces ${how}${beside ? ", read by two" : ""}`;
      for (const [way, lengths] of Object.entries(ways)) {
        const calls = noCalls();
        const { difference, compared, pending } = await again(source(calls), lengths);
        t.deepEqual([difference, compared, pending], [undefined, LENGTH, 0], `${way}, ${name}: the same`);
        t.ok(calls.ahead > 10, `${calls.ahead} pieces were read ahead`);
      }
      // The last byte of a piece of 512 KiB and the first of the next, in the middle, the very last.
      for (const wrong of [(1 << 23) - 1, 1 << 23, 20_000_001, LENGTH - 1]) {
        const { difference } = await again(source(), pages, wrong);
        t.equal(difference, wrong, `${name}: byte ${wrong} differs`);
      }
    }
  }
});

test("a long skip seeks, also while a piece is under way", async (t) => {
  const calls = noCalls();
  const reader = new QemuFileReader(
    lateSource((length) => length, calls, { beside: true }),
    { readAhead: true },
  );
  for (let i = 0; i < 1000; i++) {
    await reader.need(4104);
    reader.skip(4104);
  }
  const before = calls.ahead + calls.beside + calls.reads;
  await reader.discard(20_000_000);
  await reader.need(4104);
  t.ok(checkView(reader.view(4104), 1000 * 4104 + 20_000_000), "what follows is right");
  t.ok(calls.ahead + calls.beside + calls.reads - before < 4, "what is between was not read");

  // A source without `seek` goes on by itself after what it has read ahead.
  const late = lateSource((length) => length, noCalls());
  const source: ByteSource = {
    length: LENGTH,
    read: (into) => late.read(into),
    readAhead: async (from, into) => {
      const n = await late.readAhead!(from, into);
      late.seek!(from + n);
      return n;
    },
  };
  const onward = new QemuFileReader(source, { readAhead: true });
  for (const skip of [0, 0, 0, 0, 20_000_000]) {
    await onward.discard(skip);
    await onward.need(1 << 19);
    t.ok(checkView(onward.view(1 << 19), onward.offset - (1 << 19)), `without seek, at ${onward.offset}`);
  }
  t.end();
});

test("there is no read-ahead without the option, or with random access", async (t) => {
  const calls = noCalls();
  const plain = new QemuFileReader(lateSource((length) => length, calls));
  while (await plain.fill(4104)) plain.skip(4104);
  t.equal(calls.ahead, 0, "not asked for");
  const jumping = new QemuFileReader(
    lateSource((length) => length, calls),
    { readAhead: true },
  );
  for (let i = 0; i < 4; i++) {
    await jumping.need(100);
    jumping.skip(100);
    await jumping.discard(6_000_000);
  }
  t.deepEqual([calls.ahead, calls.seeks], [0, 4], "each jump is a seek");
});

test("an error of read-ahead is reported when its piece is needed", async (t) => {
  for (const beside of [false, true]) {
    const reader = new QemuFileReader(
      lateSource((length) => length, noCalls(), { fails: 9_000_000, beside }),
      { readAhead: true },
    );
    let refused: unknown;
    try {
      while (await reader.fill(4104)) reader.skip(4104);
    } catch (error) {
      refused = error;
    }
    t.match(String(refused), /the disk is gone$/u);
    t.ok(reader.offset > 9_000_000, "what came before it was handed out");
  }
});

test("files: equal bytes, truncated ones, and closed during a read", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-ahead-"));
  const path = join(folder, "file");
  writeFileSync(path, BYTES);
  const whole = FileSource.open(path);
  t.equal(await readAll(whole, [8, 4096, 70_000]), LENGTH);
  whole.close();

  const source = FileSource.open(path);
  const reader = new QemuFileReader(source, { readAhead: true });
  for (let i = 0; i < 1000; i++) {
    await reader.need(4104);
    reader.skip(4104);
  }
  truncateSync(path, 20_000_000);
  const error = await refusal(async () => {
    for (;;) {
      await reader.need(4104, "page data");
      reader.skip(4104);
    }
  });
  t.equal(error?.code, "truncated", "a file that is cut meanwhile ends where it now ends");
  const at = error?.offset ?? 0;
  t.ok(at <= 20_000_000 && at > 20_000_000 - 4104, `at ${at}`);
  source.close();

  // The descriptor may be reused only when no thread reads from it any more.
  const closing = FileSource.open(path);
  const into = new Uint8Array(1 << 22);
  const answer = closing.readAhead!(0, into);
  closing.close();
  const other = openSync(join(folder, "other"), "w+");
  writeSync(other, new Uint8Array(100).fill(0xee));
  ftruncateSync(other, 1 << 23);
  t.equal(await answer, 1 << 22);
  t.ok(checkView(into, 0), "closing does not take the file away from it");
  closeSync(other);
  const gone = FileSource.open(path);
  gone.close();
  t.equal((await refusal(() => gone.readAhead!(0, into)))?.code, "io", "a closed file is an error");
  rmSync(folder, { recursive: true });
});

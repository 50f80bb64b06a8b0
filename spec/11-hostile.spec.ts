import test from "tape";
import { QevmError } from "../src/bytes/errors.js";
import { diffStreams } from "../src/analyse/diff/index.js";
import { explainStream } from "../src/analyse/explain/index.js";
import { inspectStream, type Inspection } from "../src/analyse/inspect/inspect.js";
import { verifyStream } from "../src/analyse/inspect/verify.js";
import { IterableSource, MemorySource } from "../src/bytes/index.js";
import { corpusEntry } from "../tools/corpus.js";

const good = corpusEntry("machine-none-tiny").open();
const pc = corpusEntry("pc-firmware").open();

/** "fine", or the error; anything other than QevmError is a bug and is rethrown. */
async function attempt(bytes: Uint8Array, lenient = false): Promise<QevmError | undefined> {
  try {
    await inspectStream(new MemorySource(bytes), { lenient });
    return undefined;
  } catch (error) {
    if (error instanceof QevmError) return error;
    throw error;
  }
}

/** Whether the offset of an error is plausible. */
function addressed(error: QevmError, length: number): boolean {
  return error.offset !== undefined && error.offset >= 0 && error.offset <= length && error.code !== "usage";
}

test("every prefix of a capture of -machine none", async (t) => {
  let refused = 0;
  const wrong: string[] = [];
  for (let n = 0; n < good.length; n++) {
    const error = await attempt(good.subarray(0, n));
    if (error === undefined) continue;
    refused++;
    if (!addressed(error, n)) wrong.push(`${n}: ${error.message}`);
  }
  t.deepEqual(wrong, [], "every refusal has an address inside the input");
  t.ok(refused > 100, `${refused} of ${good.length} prefixes refused, the others end in an opaque rest`);
  t.equal((await attempt(good.subarray(0, 7)))?.offset, 0, "a cut header");
  t.equal((await attempt(good))?.message, undefined, "the whole still decodes");
});

/** The number of decoded bytes, by the parts of an inspection, which must be contiguous. */
function decoded({ streamLength, opaqueBytes, undecoded }: Inspection): number {
  return (
    streamLength -
    opaqueBytes +
    undecoded.reduce((sum, { length }) => sum + length, 0) -
    (undecoded.at(-1)?.length ?? 0)
  );
}

test("the truncated end of a stream is counted, for every source and command", async (t) => {
  const live = corpusEntry("live").open();
  const { sections } = await inspectStream(new MemorySource(live));
  const places = [9, 20, 30, 43, 60, 200, 300_000, 1_000_000, 3_000_000, live.length - 1, live.length - 50_000];
  for (const { streamOffset: offset, sectionLength: length } of sections.filter((_, k) => k % 6 === 0)) {
    places.push(offset + 1, offset + 5, offset + 12, offset + length - 5, offset + length - 1, offset + length);
  }
  const wrong: string[] = [];
  for (const at of places) {
    const cut = live.subarray(0, at);
    const how = { lenient: true };
    const inspection = await inspectStream(new MemorySource(cut), how);
    const last = inspection.undecoded.at(-1);
    const say = (what: string): void => void wrong.push(`cut at ${at}: ${what}`);
    if (inspection.streamLength !== at || inspection.complete) say(`${inspection.streamLength} bytes`);
    if (last !== undefined && last.streamOffset + last.length !== at) say(`${last.streamOffset} and ${last.length}`);
    const pieces = async function* (): AsyncGenerator<Uint8Array> {
      for (let from = 0; from < at; from += 65_521) yield cut.subarray(from, from + 65_521);
    };
    const piped = await inspectStream(new IterableSource(pieces()), { ...how, bufferSize: 4096 });
    if (JSON.stringify(piped.undecoded) !== JSON.stringify(inspection.undecoded)) say("from a pipe");
    const verified = await verifyStream(new MemorySource(cut), how);
    const first = verified.firstDifference ?? at;
    if (verified.streamLength !== at || verified.opaqueBytes !== inspection.opaqueBytes) say("verify counts otherwise");
    // An undescribed rest is copied; a truncated one is not.
    if (first !== decoded(inspection) && !verified.identical) say(`verify: ${first}, decoded ${decoded(inspection)}`);
    const { faults: damage, inspection: explained } = await explainStream(new MemorySource(cut), undefined, how);
    if (damage.length === 0 || explained.opaqueBytes !== inspection.opaqueBytes) say("explain counts otherwise");
    const { a, verdict } = await diffStreams(cut, cut.slice(), how);
    if (a.streamLength !== at || verdict !== "identical") say(`diff: ${a.streamLength} bytes, ${verdict}`);
  }
  t.deepEqual(wrong, []);
});

test("bytes after damage are counted without keeping them", async (t) => {
  const live = corpusEntry("live").open();
  const broken = Uint8Array.from(live);
  const { sections } = await inspectStream(new MemorySource(live));
  const { streamOffset: offset } = sections.find(({ type }) => type === "part")!;
  broken[offset] = 0x55;
  for (const [what, source] of [
    ["bytes", new MemorySource(broken)],
    ["a pipe", new IterableSource([broken.subarray(0, 70_000), broken.subarray(70_000)])],
  ] as const) {
    const { faults: damage, inspection } = await explainStream(source);
    t.equal(damage[0]?.error.offset, offset, `${what}: the damage`);
    t.deepEqual(
      [inspection.streamLength, inspection.opaqueBytes],
      [live.length, live.length - offset],
      `${what}: and all after it`,
    );
  }
});

test("every byte of that capture changed", async (t) => {
  const wrong: string[] = [];
  let refused = 0;
  for (let at = 0; at < good.length; at++) {
    for (const flip of [0x01, 0x80, 0xff]) {
      const bytes = Uint8Array.from(good);
      bytes[at]! ^= flip;
      for (const lenient of [false, true]) {
        const error = await attempt(bytes, lenient);
        if (error === undefined) continue;
        refused++;
        if (!addressed(error, bytes.length)) wrong.push(`${at} ^ ${flip}: ${error.message}`);
      }
    }
  }
  t.deepEqual(wrong, [], "every refusal has an address inside the input");
  t.ok(refused > 0, `${refused} refused`);
});

test("prefixes and changes of a pc capture, at structured positions", async (t) => {
  const { sections } = await inspectStream(new MemorySource(pc));
  const places = new Set<number>();
  for (const { streamOffset: offset, sectionLength: length } of sections) {
    for (let i = -6; i < 40; i++) places.add(offset + i);
    for (let i = -12; i < 3; i++) places.add(offset + length + i);
  }
  for (let i = 0; i < 400; i++) places.add(Math.floor((pc.length * i) / 400));
  const wrong: string[] = [];
  let cases = 0;
  const copy = Uint8Array.from(pc);
  const start = Date.now();
  // Interleaved, so that a slow machine tests some of every kind before its time is up.
  const mixed = [...places]
    .filter((at) => at > 0 && at < pc.length)
    .toSorted((a, b) => ((a * 7919) % 10007) - ((b * 7919) % 10007));
  for (const at of mixed) {
    if (Date.now() - start > 15_000) break;
    cases++;
    const cut = await attempt(pc.subarray(0, at));
    if (cut !== undefined && !addressed(cut, at)) wrong.push(`cut at ${at}: ${cut.message}`);
    copy[at]! ^= 0x41;
    const changed = await attempt(copy);
    copy[at]! ^= 0x41;
    if (changed !== undefined && !addressed(changed, pc.length)) wrong.push(`changed at ${at}: ${changed.message}`);
  }
  t.deepEqual(wrong, []);
  t.ok(cases > 40, `${cases} places cut and changed`);
  t.equal((await attempt(pc))?.message, undefined, "the whole still decodes");
});

import test from "tape";
import { QevmError } from "../src/errors.js";
import { inspectStream } from "../src/inspect/inspect.js";
import { MemorySource } from "../src/qemu-file/index.js";
import { corpusEntry } from "../tools/corpus.js";

const good = corpusEntry("machine-none-tiny").open();
const pc = corpusEntry("pc-firmware").open();

/** "fine", or the error; anything that is no QevmError is a bug and goes on up. */
async function attempt(bytes: Uint8Array, lenient = false): Promise<QevmError | undefined> {
  try {
    await inspectStream(new MemorySource(bytes), { lenient });
    return undefined;
  } catch (error) {
    if (error instanceof QevmError) return error;
    throw error;
  }
}

/** Whether the address of a refusal makes sense. */
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

test("prefixes and changes of a pc capture, at places that matter", async (t) => {
  const { sections } = await inspectStream(new MemorySource(pc));
  const places = new Set<number>();
  for (const { offset, length } of sections) {
    for (let i = -6; i < 40; i++) places.add(offset + i);
    for (let i = -12; i < 3; i++) places.add(offset + length + i);
  }
  for (let i = 0; i < 400; i++) places.add(Math.floor((pc.length * i) / 400));
  const wrong: string[] = [];
  let cases = 0;
  const copy = Uint8Array.from(pc);
  const start = Date.now();
  // In an order that mixes them, so that a slow machine sees some of every kind before its time is over.
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

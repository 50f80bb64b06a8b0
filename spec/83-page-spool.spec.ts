/** How the page keeps what cannot be read anywhere: it is read again, or in blobs where that takes longer. */
import test from "tape";
import { readFully, type ByteSource } from "../src/bytes/source.js";
import { Client, type Progress } from "../src/page/client.js";
import type { Answer } from "../src/page/protocol.js";
import { readableAgain } from "../src/page/browser/spool.js";

const MIB = 1 << 20;
const PIECE = 4 * MIB;

/** Bytes that tell their place, 7000 at a time. @param fails where an error is */
function forwardOnly(length: number, opened: () => void, fails = Infinity): ByteSource {
  let at = 0;
  opened();
  return {
    read: (into) => {
      if (at >= fails) throw new Error(`damaged at ${at}`);
      const n = Math.min(into.length, 7000, Math.min(length, fails) - at);
      for (let k = 0; k < n; k++) into[k] = byteAt(at + k);
      at += n;
      return n;
    },
  };
}

function byteAt(at: number): number {
  return (at ^ (at >> 9) ^ (at >> 18)) & 0xff;
}

/** A source that can be opened again, how often it was opened, and a clock. @param cost milliseconds by the clock of a piece */
function repeated(length: number, cost: number) {
  const count = { opened: 0, ticks: 0 };
  const open = (): ByteSource => forwardOnly(length, () => count.opened++);
  const source = Object.assign(open(), { reopen: () => Promise.resolve(open()) });
  return { count, again: readableAgain(source, () => count.ticks++ * cost) };
}

async function readAt(again: ReturnType<typeof readableAgain>, position: number, length: number): Promise<string> {
  const bytes = new Uint8Array(length);
  const n = await readFully(again.source, position, bytes);
  return (
    Array.from(bytes.subarray(0, n), (byte, k) => (byte === byteAt(position + k) ? "" : `${position + k}`)).join("") +
    `${n}`
  );
}

const LENGTH = 40 * MIB + 5;

test("a place behind: the source is opened again, and not where the bytes are in memory", async (t) => {
  const { again, count } = repeated(LENGTH, 1);
  t.equal(await readAt(again, 39 * MIB, 4096), "4096", "far ahead");
  t.equal(await readAt(again, 36 * MIB - 10, 4096), "4096", "over the border of pieces, both in memory");
  t.equal(count.opened, 1, "opened once");
  t.equal(await readAt(again, 5, 4096), "4096", "the beginning");
  t.equal(count.opened, 2, "opened again");
  t.equal(await readAt(again, LENGTH - 3, 4096), "3", "the end");
  t.equal(await readAt(again, LENGTH + 10 * MIB, 4096), "0", "after the end");
  t.equal(count.opened, 2, "forward");
});

test("where reading takes longer than blobs, a second reading is the last", async (t) => {
  for (const [cost, most] of [
    [1000, 1],
    [50, 3],
  ] as const) {
    const { again, count } = repeated(LENGTH, cost);
    for (let turn = 0; turn < 8; turn++) {
      t.equal(await readAt(again, 39 * MIB, 16), "16", "near the end");
      t.equal(await readAt(again, 3 * MIB, 16), "16", "near the beginning");
    }
    t.ok(count.opened <= most, `${cost} ms a piece: opened ${count.opened} times`);
  }
});

test("in sequence twice; what cannot be opened again is kept", async (t) => {
  const again = readableAgain(forwardOnly(9 * MIB, () => undefined));
  const into = new Uint8Array(MIB);
  for (let turn = 0; turn < 2; turn++) {
    let total = 0;
    for (let n = await again.source.read(into); n > 0; n = await again.source.read(into)) {
      if (into[0] !== byteAt(total) || into[n - 1] !== byteAt(total + n - 1)) t.fail(`wrong bytes at ${total}`);
      total += n;
    }
    t.equal(total, 9 * MIB, "all of it");
    again.rewind();
  }
});

test("what is before damage can be read, and reading on says the damage", async (t) => {
  const { source } = readableAgain(forwardOnly(LENGTH, () => undefined, PIECE + 100));
  const into = new Uint8Array(PIECE + 100);
  let total = 0;
  while (total < into.length) total += await source.read(into.subarray(total));
  t.equal(into[PIECE + 99], byteAt(PIECE + 99), "up to the damage");
  try {
    await source.read(into);
    t.fail("an error");
  } catch (error) {
    t.equal(String(error), `Error: damaged at ${PIECE + 100}`);
  }
  t.equal(await readFully(source, PIECE + 90, into.subarray(0, 50)), 10, "those before stay");
});

test("the rate of another reading for the same question counts from its own beginning", async (t) => {
  const listeners: ((event: { data: Answer }) => void)[] = [];
  const send = (data: Answer): void => listeners.forEach((listener) => listener({ data }));
  const worker = {
    addEventListener: (type: string, listener: (event: { data: Answer }) => void) => {
      if (type === "message") listeners.push(listener);
    },
    postMessage: () => undefined,
  };
  const shown: Progress[] = [];
  const client = new Client(
    () => worker as unknown as Worker,
    (progress) => progress !== undefined && shown.push(progress),
  );
  const answer = client.ask("memory");
  send({ id: 1, what: "looking for pages", done: 900, total: 1000 });
  await new Promise((resolve) => setTimeout(resolve, 5));
  send({ id: 1, what: "reading up to the place", done: 10, total: 1000 });
  send({ id: 1, what: "reading up to the place", done: 20, total: 1000 });
  send({ id: 1, value: {} });
  await answer;
  t.ok(shown[1]!.since > shown[0]!.since, "the second reading begins later");
  t.equal(shown[2]!.since, shown[1]!.since, "and is one");
});

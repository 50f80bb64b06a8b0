/** The page engine's zlib streams of many pages: zlib gives the pages back, whatever their counts of symbols are. */
import test from "tape";
import { constants, inflateSync } from "node:zlib";
import { load } from "../src/engine/page-module.js";
import { PageStreamDeflater, PageStreamInflater } from "../src/engine/page-stream.js";

const PAGE = 4096;

let seed = 7;
function random(below: number): number {
  seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
  return (seed >>> 8) % below;
}

/** So many literals, most of them of a few values and some that come once, and copies of eight bytes. */
function mixed(literals: number): Buffer {
  const page = Buffer.alloc(PAGE);
  const copies = Math.floor((PAGE - literals) / 8);
  const run = Math.max(16, Math.ceil(literals / (copies + 1)));
  for (let at = 0, left = literals; at < PAGE;) {
    for (let k = 0; k < run && left > 0 && at < PAGE; k++, left--) {
      page[at++] = random(40) === 0 ? random(256) : 32 + random(1 + random(12));
    }
    if (at >= PAGE) break;
    const from = random(Math.max(1, at - 8));
    for (let k = 0; k < 8 && at < PAGE; k++) page[at++] = page[from + k]!;
  }
  return page;
}

function noise(): Buffer {
  return Buffer.from(Uint8Array.from({ length: PAGE }, () => random(256)));
}

/** Three bytes that are rare elsewhere, then a long copy of such a page's bytes, again and again. */
function rareAndLong(other: Buffer): Buffer {
  const page = Buffer.alloc(PAGE);
  for (let at = 0; at < PAGE;) {
    for (let k = 0; k < 3 && at < PAGE; k++) page[at++] = 120 + random(136);
    const from = random(PAGE - 258);
    at += other.copy(page, at, from, from + 131 + random(127));
  }
  return page;
}

/** Literals below 98, the low ones most often, so that other literals and long copies get the longest codes. */
function few(): Buffer {
  return Buffer.from(Uint8Array.from({ length: PAGE }, () => Math.min(random(98), random(98), random(98))));
}

function longCodes(): Buffer[] {
  const first = few();
  return [first, ...Array.from({ length: 6 }, () => rareAndLong(first))];
}

const GROUPS: Readonly<Record<string, () => Buffer[]>> = {
  "symbols of every number in a block": () =>
    Array.from({ length: 150 }, (_, k) => Array.from({ length: 8 }, () => mixed(25 * k))).flat(),
  "pages that do not compress between others": () =>
    Array.from({ length: 200 }, () =>
      [() => noise(), () => mixed(random(4000)), () => Buffer.alloc(PAGE)][random(3)]!(),
    ),
  "pages that come again after one to ten others": () => {
    const pages = Array.from({ length: 12 }, noise);
    return Array.from({ length: 300 }, (_, k) => pages[k % (1 + (Math.floor(k / 30) % 10))]!);
  },
  // Three literals and a length by codes of 13 bits, with 5 bits more and 7 pending ones, are 64 bits.
  "the longest codes side by side": () =>
    Array.from({ length: 8 }, () => [...Array.from({ length: 192 }, few), ...longCodes()]).flat(),
  "noise, and one byte": () => [...Array.from({ length: 20 }, noise), Buffer.alloc(PAGE, 7), Buffer.alloc(PAGE)],
};

for (const [name, pagesOf] of Object.entries(GROUPS)) {
  test(`zlib inflates what the page engine flushes: ${name}`, async (t) => {
    const encoder = await PageStreamDeflater.create(PAGE);
    const plain = await PageStreamDeflater.create(PAGE, await load(false));
    const decoder = await PageStreamInflater.create();
    const pages = pagesOf();
    const payloads: Buffer[] = [];
    let wrong = 0;
    // Packets of 1 to 128 pages.
    for (let at = 0; at < pages.length;) {
      const packet = Buffer.concat(pages.slice(at, at + 1 + random(128)));
      const payload = Buffer.from(encoder.encode(packet));
      if (!payload.equals(plain.encode(packet))) wrong++;
      const own = decoder.inflate(payload.subarray(at === 0 ? 2 : 0), packet.length);
      if (own === undefined || !packet.equals(own)) wrong++;
      payloads.push(payload);
      at += packet.length / PAGE;
      t.deepEqual([...payloads.at(-1)!.subarray(-4)], [0, 0, 0xff, 0xff], `${packet.length / PAGE} pages are flushed`);
    }
    t.equal(wrong, 0, "the same bytes without SIMD, and our decoder gives the pages back");
    const whole = Buffer.concat(payloads);
    const { Z_SYNC_FLUSH } = constants;
    const got = inflateSync(whole, { finishFlush: Z_SYNC_FLUSH });
    t.equal(Buffer.compare(got, Buffer.concat(pages)), 0, `${pages.length} pages in ${whole.length} bytes`);
    t.ok(whole.length < pages.length * (PAGE + 8) + 1024, "no page grows much");
  });
}

test("what is found: a page that came before, and what fills the rest of one", async (t) => {
  const encoder = await PageStreamDeflater.create(PAGE);
  const size = (...pages: Buffer[]): number => encoder.encode(Buffer.concat(pages)).length;
  const page = noise();
  const between = Array.from({ length: 6 }, noise);
  const most = 8 * (PAGE + 8);
  t.ok(size(page, ...between, page) < most - 3500, "a page that came seven pages before");
  t.ok(size(page, noise(), ...between, page) > most, "not one that is 32 KiB before");
  const half = Buffer.concat([noise().subarray(0, PAGE / 2), Buffer.alloc(PAGE / 2)]);
  t.ok(size(half) < PAGE / 2 + 600, "noise, and zeros after it");
});

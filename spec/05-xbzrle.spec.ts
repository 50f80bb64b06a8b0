import * as fc from "fast-check";
import test from "tape";
import { QevmError } from "../src/bytes/errors.js";
import { decodeXbzrle, encodeXbzrle, XBZRLE_OVERFLOW } from "../src/codec/ram/xbzrle.js";

const PAGE = 4096;
const bytes = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"));
const hex = (b: Uint8Array): string => Buffer.from(b).toString("hex");

function encode(old: Uint8Array, now: Uint8Array): Uint8Array | undefined {
  const into = new Uint8Array(now.length);
  const length = encodeXbzrle(old, now, into);
  return length === XBZRLE_OVERFLOW ? undefined : into.slice(0, length);
}

function decode(old: Uint8Array, payload: Uint8Array): Uint8Array {
  const page = old.slice();
  decodeXbzrle(page, payload);
  return page;
}

/**
 * Old page, new page, payload: the worked example of QEMU's docs/xbzrle.txt, and rows worked out by hand from the
 * grammar.
 */
function pageWith(...parts: [number, string][]): Uint8Array {
  const page = new Uint8Array(PAGE);
  for (const [at, data] of parts) page.set(bytes(data), at);
  return page;
}
const ROWS: { what: string; old: Uint8Array; now: Uint8Array; payload: string; covers: number }[] = [
  {
    what: "B1, QEMU docs/xbzrle.txt",
    old: pageWith([1001, "05060708090a0b0c0d0e0f101112136800006b006d"]),
    now: pageWith([1001, "0102030405060708090a0b0c0d0e0f680000670069"]),
    payload: "e9070f0102030405060708090a0b0c0d0e0f030167010169",
    covers: 1022,
  },
  { what: "equal pages", old: pageWith([9, "77"]), now: pageWith([9, "77"]), payload: "", covers: 0 },
  { what: "first byte only", old: pageWith(), now: pageWith([0, "ff"]), payload: "0001ff", covers: 1 },
  { what: "last byte only", old: pageWith(), now: pageWith([4095, "ff"]), payload: "ff1f01ff", covers: 4096 },
  { what: "127 bytes unchanged", old: pageWith(), now: pageWith([127, "ff"]), payload: "7f01ff", covers: 128 },
  { what: "128 bytes unchanged", old: pageWith(), now: pageWith([128, "ff"]), payload: "800101ff", covers: 129 },
];

test("XBZRLE rows in four directions", (t) => {
  for (const { what, old, now, payload, covers } of ROWS) {
    t.equal(hex(encode(old, now)!), payload, `${what}: encode`);
    const page = old.slice();
    t.equal(decodeXbzrle(page, bytes(payload)), covers, `${what}: bytes covered`);
    t.equal(hex(page), hex(now), `${what}: decode`);
    t.equal(hex(decode(old, encode(old, now)!)), hex(now), `${what}: decode(encode)`);
    t.equal(hex(encode(old, decode(old, bytes(payload)))!), payload, `${what}: encode(decode)`);
  }
  t.end();
});

test("B2: every number from 1 to 16,383 has one form, in both directions", (t) => {
  const size = 0x3fff + 1;
  const old = new Uint8Array(size);
  const now = new Uint8Array(size);
  const into = new Uint8Array(size);
  let bad = 0;
  for (let run = 1; run <= 0x3fff; run++) {
    now[run] = 1;
    const expected = run < 0x80 ? [run, 1, 1] : [0x80 | (run & 0x7f), run >> 7, 1, 1];
    const length = encodeXbzrle(old, now, into);
    if (length !== expected.length || expected.some((byte, i) => into[i] !== byte)) bad++;
    const page = old.slice();
    if (decodeXbzrle(page, into.subarray(0, length)) !== run + 1 || page[run] !== 1) bad++;
    now[run] = 0;
  }
  t.equal(bad, 0);
  for (const [run, form] of [
    [0x7f, "7f"],
    [0x80, "8001"],
    [1001, "e907"],
    [4095, "ff1f"],
    [0x3fff, "ff7f"],
  ] as const) {
    now[run] = 9;
    t.equal(hex(into.subarray(0, encodeXbzrle(old, now, into))), `${form}0109`, `${run} is ${form}`);
    now[run] = 0;
  }
  t.end();
});

test("a run that no number can hold is refused", (t) => {
  const now = new Uint8Array(0x8000);
  now[0x4000] = 1;
  try {
    encodeXbzrle(new Uint8Array(0x8000), now, new Uint8Array(0x8000));
    t.fail("encoded");
  } catch (error) {
    t.equal((error as QevmError).code, "does-not-fit");
  }
  t.end();
});

test("longer forms of numbers and split runs are accepted, as in QEMU", (t) => {
  const plain = pageWith([5, "aabb"]);
  t.equal(hex(decode(pageWith(), bytes("85008200aabb"))), hex(plain), "two bytes for 5 and for 2");
  t.equal(hex(decode(pageWith(), bytes("800001cc"))), hex(pageWith([0, "cc"])), "two bytes for a leading 0");
  // Not maximal: an unchanged byte inside a changed run, and one long run in two.
  t.equal(hex(decode(pageWith(), bytes("0502aabb"))), hex(plain));
  t.equal(hex(decode(pageWith([6, "bb"]), bytes("0502aabb"))), hex(plain));
  t.end();
});

test("every error has its offset, and leaves the page unchanged", (t) => {
  const rows: [string, string, number, RegExp][] = [
    ["01", "one byte", 0, /ends inside the unchanged run/],
    ["0101", "no literal", 1, /ends inside the changed run/],
    ["0102aa", "literal too short", 1, /ends inside a changed run .expected 2 bytes, found 1/],
    ["0100aa", "changed run of 0", 1, /changed run of 0/],
    ["0101aa0001bb", "unchanged run of 0 later", 3, /unchanged run of 0/],
    ["0101aa800001bb", "the same in two bytes", 3, /unchanged run of 0/],
    ["8080aabb", "15 bits", 0, /more than 14 bits/],
    ["018080aabb", "15 bits in the second number", 1, /more than 14 bits/],
    [
      "802001aa",
      "unchanged run to the very end, then one more",
      2,
      /ends outside the page .expected 4096 bytes, found 4097/,
    ],
    ["812001aa", "unchanged run beyond the page", 0, /unchanged run ends outside/],
    ["ff1f02aabb", "literal beyond the page", 2, /changed run ends outside/],
    ["0101aa05", "a lone number at the end", 3, /ends inside the unchanged run/],
  ];
  for (const [payload, what, offset, message] of rows) {
    const page = pageWith([0, "1122334455"]);
    try {
      decodeXbzrle(page, bytes(payload), 0x1000);
      t.fail(`${what}: decoded`);
    } catch (error) {
      t.ok(error instanceof QevmError && error.code === "bad-xbzrle", `${what}: typed`);
      t.equal((error as QevmError).offset, 0x1000 + offset, `${what}: offset`);
      t.match((error as QevmError).message, message, `${what}: words`);
    }
    t.equal(hex(page), hex(pageWith([0, "1122334455"])), `${what}: page untouched`);
  }
  t.end();
});

test("overflow as in QEMU's encoder: two free bytes before each number, and the literals", (t) => {
  const old = new Uint8Array(64);
  const all = new Uint8Array(64).fill(1);
  t.equal(encode(old, all), undefined, "a page that changed everywhere");
  // 61 bytes changed: 0, 61, literals = 63 bytes. One byte is left, but the encoder needs space to check the three
  // unchanged bytes at the end: overflow.
  const most = all.slice();
  most.fill(0, 61);
  t.equal(encode(old, most), undefined, "63 of 64 bytes used with an unchanged tail");
  most.fill(0, 60);
  t.equal(encode(old, most)?.length, 62, "62 of 64 bytes used with an unchanged tail");
  // 62 at the page's end: 2, 62, 62 literals fill the output exactly and the page as well.
  const tail = all.slice();
  tail.fill(0, 0, 2);
  t.equal(encode(old, tail)?.length, 64, "output filled to the last byte");
  tail[1] = 1;
  t.equal(encode(old, tail), undefined, "one byte more");
  t.end();
});

/** The QevmError of `action`; any other error is rethrown. */
function refusalOf(action: () => void): QevmError | undefined {
  try {
    action();
  } catch (error) {
    if (error instanceof QevmError && error.code === "bad-xbzrle") return error;
    throw error;
  }
  return undefined;
}

/** Pairs of pages that differ in runs, as guest memory does. */
const pair = fc
  .tuple(
    fc.uint8Array({ minLength: 512, maxLength: 512 }),
    fc.array(fc.tuple(fc.nat(511), fc.uint8Array({ minLength: 1, maxLength: 40 })), { maxLength: 12 }),
  )
  .map(([old, changes]) => {
    const now = old.slice();
    for (const [at, data] of changes) now.set(data.subarray(0, 512 - at), at);
    return [old, now] as const;
  });

test("properties", (t) => {
  fc.assert(
    fc.property(pair, ([old, now]) => {
      const payload = encode(old, now);
      if (payload === undefined) return;
      const back = decode(old, payload);
      if (hex(back) !== hex(now)) throw new Error("decode(encode) differs");
      if (hex(encode(old, back)!) !== hex(payload)) throw new Error("encode is not canonical");
    }),
    { numRuns: 2000 },
  );
  t.pass("decode(encode(old, new)) is new, and the encoding is the same again");
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (payload) => {
      const page = new Uint8Array(600);
      page.fill(0xa5);
      const inner = page.subarray(44, 556);
      const refusal = refusalOf(() => {
        if (decodeXbzrle(inner, payload) > inner.length) throw new Error("covers more than the page");
      });
      if (refusal !== undefined) {
        if (refusal.offset === undefined || refusal.offset > payload.length) throw new Error("offset outside");
        if (inner.some((byte) => byte !== 0xa5)) throw new Error("a refused payload changed the page");
      }
      if (page.subarray(0, 44).some((b) => b !== 0xa5) || page.subarray(556).some((b) => b !== 0xa5)) {
        throw new Error("wrote outside the page");
      }
    }),
    { numRuns: 5000 },
  );
  t.pass("any bytes decode or are refused with an offset inside them, and nothing outside the page is written");
  t.end();
});

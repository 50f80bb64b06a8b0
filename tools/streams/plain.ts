/**
 * A plain migration stream of any size, generated on the fly: what `-machine none -m SIZE` would send, without devices.
 * It is written with a DataView only and shares no code with src, so that it can serve as a reference.
 *
 * | bytes | what |
 * |---|---|
 * | `QEVM` 3 | header |
 * | 07, be32 length, "none" | configuration |
 * | 01, be32 id, str8 "ram", be32 instance 0, be32 version 4 | START: be64 total + 4, str8 block, be64 length, be64 10 (EOS) |
 * | 02, be32 id | PARTs: page records, be64 10 (EOS) |
 * | 03, be32 id | END: be64 10 (EOS) |
 * | 7e, be32 id | the footer of each of these |
 * | 00 | EOF |
 *
 * A page record is be64 offset + flags (02 zero, 08 normal, 20 same block as before), the block's str8 name without
 * flag 20, then one byte 00 or the page.
 */

export const PAGE = 4096;
const SECTION_ID = 2;
const BLOCK = "ram";
const ZERO = 0x02;
const NORMAL = 0x08;
const CONTINUE = 0x20;
const EOS = 0x10;

export interface PlainOptions {
  /** Bytes of guest memory, a multiple of 4096. */
  ram: number;
  /** Share of zero pages, 0 to 1. */
  zero: number;
  /** Mean length of a run of zero pages. */
  run?: number;
  /** Pages in one PART. */
  part?: number;
}

interface PlainCounts {
  normal: number;
  zero: number;
}

/**
 * Which pages are zero: alternating runs of data and zeros, of 1 to 2 x mean pages, each pair in the given proportion.
 */
export function* zeroRuns({ ram, zero, run = 192 }: PlainOptions): Generator<{ zero: boolean; pages: number }> {
  let left = ram / PAGE;
  let seed = 1;
  let owed = 0;
  while (left > 0) {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    const zeros = zero >= 1 ? left : zero <= 0 ? 0 : 1 + Math.floor((seed / 2 ** 32) * (2 * run - 1));
    owed += zero <= 0 ? left : (zeros * (1 - zero)) / zero;
    const data = Math.min(left, Math.floor(owed));
    owed -= data;
    left -= data;
    if (data > 0) yield { zero: false, pages: data };
    const taken = Math.min(left, zeros);
    left -= taken;
    if (taken > 0) yield { zero: true, pages: taken };
  }
}

/** Writes the content of data page `index` into `page`: noise, then its number, so that every page is different. */
export function fillPage(page: Uint8Array, index: number): void {
  page.set(NOISE.subarray((index % 251) * 16, (index % 251) * 16 + PAGE));
  page[0] = 1 + (index % 255);
  new DataView(page.buffer, page.byteOffset).setUint32(8, index);
}

/** Passes the stream to `write` in chunks of about `chunk` bytes; a chunk may be reused once `write` has returned. */
export function makePlainStream(
  options: PlainOptions,
  write: (chunk: Uint8Array) => void,
  chunk = 1 << 20,
): PlainCounts {
  const out = new Output(write, chunk);
  const counts = { normal: 0, zero: 0 };
  out.u32(0x51_45_56_4d);
  out.u32(3);
  out.u8(0x07);
  out.u32(4);
  out.text("none");
  out.u8(0x01);
  out.u32(SECTION_ID);
  out.string("ram");
  out.u32(0);
  out.u32(4);
  out.u64(options.ram + 4);
  out.string(BLOCK);
  out.u64(options.ram);
  out.endOfSection();
  writePages(options, out, counts);
  out.u8(0x03);
  out.u32(SECTION_ID);
  out.endOfSection();
  out.u8(0x00);
  out.flush();
  return counts;
}

function writePages(options: PlainOptions, out: Output, counts: PlainCounts): void {
  const perPart = options.part ?? 16_384;
  let index = 0;
  for (const run of zeroRuns(options)) {
    for (const last = index + run.pages; index < last; index++) {
      if (index % perPart === 0) {
        if (index > 0) out.endOfSection();
        out.u8(0x02);
        out.u32(SECTION_ID);
      }
      out.u64(index * PAGE + (run.zero ? ZERO : NORMAL) + (index === 0 ? 0 : CONTINUE));
      if (index === 0) out.string(BLOCK);
      if (run.zero) out.u8(0);
      else fillPage(out.reserve(PAGE), index);
    }
    counts[run.zero ? "zero" : "normal"] += run.pages;
  }
  if (index > 0) out.endOfSection();
}

class Output {
  private readonly buffer: Uint8Array;
  private readonly view: DataView;
  private used = 0;

  constructor(
    private readonly write: (chunk: Uint8Array) => void,
    private readonly chunk: number,
  ) {
    this.buffer = new Uint8Array(chunk + 2 * PAGE);
    this.view = new DataView(this.buffer.buffer);
  }

  /** The next `n` bytes of the buffer, for the caller to fill. */
  reserve(n: number): Uint8Array {
    if (this.used >= this.chunk) this.flush();
    this.used += n;
    return this.buffer.subarray(this.used - n, this.used);
  }

  u8(value: number): void {
    if (this.used >= this.chunk) this.flush();
    this.view.setUint8(this.used++, value);
  }

  u32(value: number): void {
    if (this.used >= this.chunk) this.flush();
    this.view.setUint32(this.used, value);
    this.used += 4;
  }

  u64(value: number): void {
    this.u32(Math.floor(value / 2 ** 32));
    this.u32(value % 2 ** 32);
  }

  text(text: string): void {
    for (const character of text) this.u8(character.charCodeAt(0));
  }

  string(text: string): void {
    this.u8(text.length);
    this.text(text);
  }

  endOfSection(): void {
    this.u64(EOS);
    this.u8(0x7e);
    this.u32(SECTION_ID);
  }

  flush(): void {
    this.write(this.buffer.subarray(0, this.used));
    this.used = 0;
  }
}

/** 8 KiB of deterministic noise. */
const NOISE = ((): Uint8Array => {
  const noise = new Uint8Array(2 * PAGE);
  let state = 0x9e37_79b9;
  for (let i = 0; i < noise.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    noise[i] = state >>> 24;
  }
  return noise;
})();

import { QevmError } from "../../../bytes/errors.js";

const LONGEST_CODE = 20;

export const INSIDE_BLOCK = "the input ends inside a bzip2 block";

/**
 * Reads bits of bytes in memory, most significant first. Past the end it returns zeros, and `check` reports the error.
 */
export class BitReader {
  /** @param position index of the first bit */
  constructor(
    private readonly source: Uint8Array,
    public position: number,
  ) {}

  /** Number of bytes read so far, including a partial one. */
  get bytes(): number {
    return (this.position + 7) >> 3;
  }

  /** The next 20 bits without consuming them. */
  peek20(): number {
    const { source } = this;
    const at = this.position >> 3;
    const word = (source[at]! << 24) | (source[at + 1]! << 16) | (source[at + 2]! << 8) | source[at + 3]!;
    return (word << (this.position & 7)) >>> 12;
  }

  /** Up to 32 bits as an unsigned number. Errors: truncated. */
  read(n: number): number {
    let value = 0;
    for (let left = n; left > 0;) {
      const take = Math.min(left, 16);
      value = value * 2 ** take + (this.peek20() >>> (20 - take));
      this.position += take;
      left -= take;
    }
    this.check();
    return value;
  }

  /** Errors: truncated, when more bits were consumed than exist. */
  check(): void {
    if (this.position > this.source.length * 8) {
      throw new QevmError("truncated", INSIDE_BLOCK);
    }
  }

  /** True when more bits were consumed than exist, or when the next code may extend past the end. */
  get isSpent(): boolean {
    return this.position + LONGEST_CODE > this.source.length * 8;
  }
}

/** A decoded block before its last two steps. */
export interface Bzip2Block {
  /** Low byte: the last column; above: the index of the next row. */
  table: Uint32Array;
  length: number;
  /** Index of the first row. */
  start: number;
  /** CRC stated in the block. */
  crc: number;
}

interface Code {
  shortest: number;
  /** By length: the largest code, left-aligned to 20 bits; -1 where there is none. */
  limit: Int32Array;
  /** By length: subtract this from a code to get its index in `symbols`. */
  base: Int32Array;
  symbols: Uint16Array;
}

/**
 * Decodes a block after its magic and CRC: 1 bit randomised, 24 start, 16 + 16 x 16 bytes in use, 3 number of codes, 15
 * number of selectors, selectors, code lengths, symbols. Errors: truncated, bad-compressed-data, unsupported.
 */
export function decodeBzip2Block(bits: BitReader, limit: number, block: Bzip2Block): void {
  if (bits.read(1) === 1) throw new QevmError("unsupported", "bzip2: a randomised block (before 0.9.5)");
  block.start = bits.read(24);
  const used = readUsed(bits);
  const codes = bits.read(3);
  if (codes < 2 || codes > 6) throw bad("number of codes");
  const selectors = readSelectors(bits, codes);
  const tables = Array.from({ length: codes }, () => readCode(bits, used.length + 2));
  decodeSymbols(bits, used, selectors, tables, limit, block);
  if (block.start >= block.length) throw bad("start outside the block");
  link(block);
}

function bad(what: string): QevmError {
  return new QevmError("bad-compressed-data", `bzip2: ${what}`);
}

function readUsed(bits: BitReader): Uint8Array {
  const groups = bits.read(16);
  const used: number[] = [];
  for (let group = 0; group < 16; group++) {
    if ((groups & (0x8000 >> group)) === 0) continue;
    const members = bits.read(16);
    for (let k = 0; k < 16; k++) if ((members & (0x8000 >> k)) !== 0) used.push(group * 16 + k);
  }
  if (used.length === 0) throw bad("no byte is in use");
  return Uint8Array.from(used);
}

function readSelectors(bits: BitReader, codes: number): Uint8Array {
  const count = bits.read(15);
  if (count === 0) throw bad("no selector");
  const order = [0, 1, 2, 3, 4, 5];
  return Uint8Array.from({ length: count }, () => {
    let place = 0;
    while (bits.read(1) === 1) if (++place >= codes) throw bad("selector");
    const [selector = 0] = order.splice(place, 1);
    order.unshift(selector);
    return selector;
  });
}

function readCode(bits: BitReader, symbolCount: number): Code {
  const lengths: number[] = [];
  let length = bits.read(5);
  for (let k = 0; k < symbolCount; k++) {
    for (;;) {
      if (length < 1 || length > LONGEST_CODE) throw bad("code length");
      if (bits.read(1) === 0) break;
      length += bits.read(1) === 0 ? 1 : -1;
    }
    lengths.push(length);
  }
  const limit = new Int32Array(LONGEST_CODE + 1).fill(-1);
  const base = new Int32Array(LONGEST_CODE + 1);
  const symbols: number[] = [];
  let code = 0;
  for (let n = 1; n <= LONGEST_CODE; n++) {
    base[n] = code - symbols.length;
    const before = symbols.length;
    lengths.forEach((of, symbol) => of === n && symbols.push(symbol));
    code += symbols.length - before;
    if (code > 2 ** n) throw bad("code lengths");
    if (symbols.length > before) limit[n] = code * 2 ** (LONGEST_CODE - n) - 1;
    code *= 2;
  }
  return { shortest: Math.min(...lengths), limit, base, symbols: Uint16Array.from(symbols) };
}

function decodeSymbols(
  bits: BitReader,
  used: Uint8Array,
  selectors: Uint8Array,
  codes: readonly Code[],
  limit: number,
  block: Bzip2Block,
): void {
  const { table } = block;
  const recent = used.slice();
  const end = used.length + 1;
  let length = 0;
  let run = 0;
  let weight = 1;
  for (const selector of selectors) {
    const { shortest, limit: limits, base, symbols } = codes[selector]!;
    for (let k = 0; k < 50; k++) {
      const ahead = bits.peek20();
      let n = shortest;
      while (n <= LONGEST_CODE && ahead > limits[n]!) n++;
      if (n > LONGEST_CODE) throw bad("invalid code");
      bits.position += n;
      const symbol = symbols[(ahead >>> (LONGEST_CODE - n)) - base[n]!]!;
      if (symbol <= 1) {
        run += weight << symbol;
        weight <<= 1;
        if (run > limit - length) throw bad("a run longer than the block");
        continue;
      }
      if (run > 0) {
        table.fill(recent[0]!, length, length + run);
        length += run;
        run = 0;
        weight = 1;
      }
      if (symbol === end) {
        bits.check();
        block.length = length;
        return;
      }
      if (length >= limit) throw bad("the block is longer than the stream allows");
      const byte = recent[symbol - 1]!;
      recent.copyWithin(1, 0, symbol - 1);
      recent[0] = byte;
      table[length++] = byte;
    }
    bits.check();
  }
  throw bad("the selectors end before the block");
}

/** Stores in every entry the index of the row that follows it (inverse Burrows-Wheeler transform). */
function link({ table, length }: Bzip2Block): void {
  const next = new Uint32Array(256);
  for (let k = 0; k < length; k++) next[table[k]!]!++;
  let sum = 0;
  for (let byte = 0; byte < 256; byte++) {
    const count = next[byte]!;
    next[byte] = sum;
    sum += count;
  }
  for (let k = 0; k < length; k++) {
    const byte = table[k]! & 0xff;
    const place = next[byte]!++;
    table[place] = table[place]! | (k << 8);
  }
}

/** Filters of xz that come before LZMA2 in packing, undone. Source: the .xz file format 1.2.1, section 5.3. */

/** Undoes a filter in place. Returns how many of the bytes are final: it is given the others again, with more. */
export type Filter = (bytes: Uint8Array) => number;

/** What a filter makes of pieces. Pieces are valid until the next one. */
export async function* filtered(pieces: AsyncGenerator<Uint8Array>, filter: Filter): AsyncGenerator<Uint8Array> {
  let buffer = new Uint8Array(1 << 16);
  let kept = 0;
  for await (const piece of pieces) {
    const length = kept + piece.length;
    if (length > buffer.length) {
      const larger = new Uint8Array(Math.max(length, 2 * buffer.length));
      larger.set(buffer.subarray(0, kept));
      buffer = larger;
    }
    buffer.set(piece, kept);
    const done = filter(buffer.subarray(0, length));
    if (done > 0) yield buffer.subarray(0, done);
    buffer.copyWithin(0, done, length);
    kept = length - done;
  }
  if (kept > 0) yield buffer.subarray(0, kept);
}

/** Each byte is the difference to the one `distance` bytes before, 1 to 256. */
export function delta(distance: number): Filter {
  const last = new Uint8Array(distance);
  let at = 0;
  return (bytes) => {
    for (let i = 0; i < bytes.length; i++) {
      bytes[i] = last[at] = bytes[i]! + last[at]!;
      at = at + 1 === distance ? 0 : at + 1;
    }
    return bytes.length;
  };
}

/** Bytes of an x86 call or jump: an opcode and its operand. */
const JUMP = 5;

/**
 * x86: operands of E8 and E9, absolute in the packed bytes, become relative again. An operand's highest byte is 00 or
 * FF. `recent` has a bit for each of the three bytes before that are such opcodes and were left alone (bit 0: the byte
 * just before): their operands overlap this one, and the packer goes by the same bits.
 */
export function x86(start: number): Filter {
  let position = start;
  let recent = 0;
  return (bytes) => {
    let i = 0;
    while (i + JUMP <= bytes.length) {
      if ((bytes[i]! & 0xfe) !== 0xe8) {
        recent = (recent << 1) & 7;
        i++;
        continue;
      }
      if (!isJump(bytes, i, recent)) {
        recent = ((recent << 1) | 1) & 7;
        i++;
        continue;
      }
      relative(bytes, i + 1, position + i + JUMP, recent);
      recent = 0;
      i += JUMP;
    }
    position += i;
    return i;
  };
}

function isEnd(byte: number): boolean {
  return byte === 0x00 || byte === 0xff;
}

/** Whether the operand is one that the packer changed. */
function isJump(bytes: Uint8Array, i: number, recent: number): boolean {
  if (!isEnd(bytes[i + 4]!)) return false;
  if (recent === 0) return true;
  if (recent === 3 || recent > 4) return false;
  return !isEnd(bytes[i + 4 - bytesOver(recent)]!);
}

/** How many bytes of this operand do not belong to the operand of the earliest recent opcode. */
function bytesOver(recent: number): number {
  return recent === 0 ? 0 : 32 - Math.clz32(recent);
}

function relative(bytes: Uint8Array, at: number, next: number, recent: number): void {
  let value = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
  for (;;) {
    value = (value - next) | 0;
    if (recent === 0) break;
    const shift = 24 - 8 * bytesOver(recent);
    if (!isEnd((value >>> shift) & 0xff)) break;
    value ^= 2 ** (shift + 8) - 1;
  }
  bytes[at] = value;
  bytes[at + 1] = value >> 8;
  bytes[at + 2] = value >> 16;
  bytes[at + 3] = (value & 0x1000000) === 0 ? 0 : 0xff;
}

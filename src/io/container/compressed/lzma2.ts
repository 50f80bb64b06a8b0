import type { QemuFileReader } from "../../../bytes/reader.js";
import type { Lzma2Decoder } from "../../../engine/lzma2.js";

/** Control bytes of chunks (.xz file format 1.2.1, section 5.3.1; LZMA SDK, Lzma2Dec.c). */
const END = 0;
const STORED_AFTER_RESET = 1;
const STORED = 2;
/** At least these: compressed; and the model is reset; with new properties; after a reset of the dictionary. */
const COMPRESSED = 0x80;
const MODEL = 0xa0;
const PROPERTIES = 0xc0;
const DICTIONARY = 0xe0;

/**
 * LZMA2 data up to its end mark, by a decoder that was begun with its dictionary's size. Of a chunk that is cut off
 * everything that its bytes say is given. Errors: truncated, bad-compressed-data.
 */
export async function* unlzma2(reader: QemuFileReader, decoder: Lzma2Decoder): AsyncGenerator<Uint8Array> {
  let hasDictionary = false;
  let hasProperties = false;
  for (;;) {
    await reader.need(1, "an LZMA2 chunk header");
    const at = reader.offset;
    const control = reader.u8();
    if (control === END) return;
    const bad = (what: string, found: number): Error =>
      reader.error("bad-compressed-data", what, { offset: at, found: `0x${found.toString(16)}` });
    if (control < COMPRESSED && control > STORED) throw bad("LZMA2 chunk header", control);
    if (control === STORED_AFTER_RESET || control >= DICTIONARY) {
      decoder.forget();
      hasDictionary = true;
      hasProperties = false;
    }
    if (!hasDictionary) throw bad("LZMA2 chunk before the dictionary is reset", control);
    if (control < COMPRESSED) {
      await reader.need(2, "an LZMA2 chunk header");
      const length = reader.u16() + 1;
      const whole = await reader.fill(length);
      const { available } = reader;
      yield* decoder.stored(reader.view(Math.min(length, available)));
      if (!whole) throw cutOff(reader, length, available);
      continue;
    }
    await reader.need(control >= PROPERTIES ? 5 : 4, "an LZMA2 chunk header");
    const plain = ((control & 31) << 16) + reader.u16() + 1;
    const length = reader.u16() + 1;
    if (control >= PROPERTIES) {
      const byte = reader.u8();
      const lc = byte % 9;
      const lp = Math.trunc(byte / 9) % 5;
      const pb = Math.trunc(byte / 45);
      if (pb > 4 || lc + lp > 4) throw bad("LZMA properties", byte);
      decoder.reset(lc, lp, pb);
      hasProperties = true;
    } else if (!hasProperties) {
      throw bad("LZMA2 chunk without properties", control);
    } else if (control >= MODEL) {
      decoder.reset();
    }
    const whole = await reader.fill(length);
    const from = reader.offset;
    const { available } = reader;
    const wrong = yield* decoder.compressed(reader.view(Math.min(length, available)), plain);
    if (!whole && (wrong === undefined || wrong === available)) throw cutOff(reader, length, available);
    if (wrong !== undefined) throw reader.error("bad-compressed-data", "LZMA2 chunk", { offset: from + wrong });
  }
}

function cutOff(reader: QemuFileReader, length: number, available: number): Error {
  return reader.error("truncated", "the input ends inside an LZMA2 chunk", {
    expected: `${length} bytes`,
    found: `${available}`,
  });
}

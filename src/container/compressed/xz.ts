import { QevmError } from "../../errors.js";
import type { QemuFileReader } from "../../qemu-file/reader.js";

/** Bytes handed to the decoder at a time: errors are placed within so many bytes. */
const PIECE = 1 << 16;

/** xz-embedded's word for a header that it has no code for (SHA-256, the x86 filter); a damaged header has another. */
const OPTIONS = 6;
/** Its word for input that does not go on: the library gives it all there is. */
const NO_INPUT = 8;

interface XzBundle {
  XzReadableStream: new (compressed: ReadableStream<Uint8Array>) => ReadableStream<Uint8Array>;
}

/** The library's decoder exists once a process and waits for itself: a second one would wait for ever. */
let busy = false;

/**
 * xz by `xz-decompress` (xz-embedded compiled to WebAssembly), which checks CRC-32 and CRC-64. Its memory is the
 * dictionary the file asks for (8 MiB from `xz -6`), inside WebAssembly. Errors: truncated, bad-compressed-data,
 * at most 64 KiB behind the damage.
 */
export async function* unxz(reader: QemuFileReader): AsyncGenerator<Uint8Array> {
  // A CommonJS bundle: Node gives its names as `default`, whatever its types say.
  const bundle = (await import("xz-decompress")) as XzBundle & { default?: XzBundle };
  const { XzReadableStream } = bundle.default ?? bundle;
  if (busy) throw reader.error("unsupported", "two xz files at once: decompress one of them first");
  busy = true;
  let failure: unknown;
  const compressed = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          if (!(await reader.fill(1))) controller.close();
          else controller.enqueue(reader.view(Math.min(reader.available, PIECE)).slice());
        } catch (error) {
          failure = error;
          controller.error(error);
        }
      },
    },
    { highWaterMark: 0 },
  );
  const plain = new XzReadableStream(compressed).getReader();
  try {
    for (;;) {
      const { done, value } = await plain.read();
      if (done) return;
      if (value.length > 0) yield value;
    }
  } catch (error) {
    if (failure instanceof QevmError) throw failure;
    const message = error instanceof Error ? error.message : String(error);
    if (message.endsWith(`error code ${OPTIONS}`)) {
      throw reader.error("unsupported", "xz with a filter or check beyond LZMA2 and CRC: decompress it first", {
        cause: error,
      });
    }
    if (reader.atEnd && message.endsWith(`error code ${NO_INPUT}`)) {
      throw reader.error("truncated", "xz: unexpected end of file", { cause: error });
    }
    throw reader.error("bad-compressed-data", `xz: ${message}`, { cause: error });
  } finally {
    await plain.cancel().catch(() => undefined);
    busy = false;
  }
}

import { spawnSync } from "node:child_process";

/** C zlib through Python: an independent check of pages and payloads. */

const COMPRESS = `
import sys, zlib, struct
level, size = int(sys.argv[1]), int(sys.argv[2])
data = sys.stdin.buffer.read()
out = sys.stdout.buffer
for at in range(0, len(data), size):
    payload = zlib.compress(data[at:at + size], level)
    out.write(struct.pack(">I", len(payload)))
    out.write(payload)
`;

const DECOMPRESS = `
import sys, zlib, struct
data = sys.stdin.buffer.read()
out = sys.stdout.buffer
at = 0
while at < len(data):
    (length,) = struct.unpack_from(">I", data, at)
    z = zlib.decompressobj()
    try:
        page = z.decompress(data[at + 4:at + 4 + length])
        ok = z.eof and not z.unused_data
    except zlib.error:
        page, ok = b"", False
    out.write(struct.pack(">BI", ok, len(page)))
    out.write(page)
    at += 4 + length
`;

function python(program: string, args: readonly string[], input: Uint8Array): Buffer {
  const run = spawnSync("python3", ["-c", program, ...args], { input, maxBuffer: 1 << 30 });
  if (run.status !== 0) throw new Error(`python3 failed: ${run.stderr.toString()}`);
  return run.stdout;
}

/** The zlib version of python3, or undefined where there is no python3. */
export function pythonZlibVersion(): string | undefined {
  const run = spawnSync("python3", ["-c", "import zlib; print(zlib.ZLIB_RUNTIME_VERSION)"], { encoding: "utf8" });
  return run.status === 0 ? run.stdout.trim() : undefined;
}

/** C zlib's output for each page, in order: windowBits 15, memLevel 8, one finishing call. */
export function pythonCompress(pages: Uint8Array, pageSize: number, level: number): Uint8Array[] {
  const out = python(COMPRESS, [String(level), String(pageSize)], pages);
  const payloads: Uint8Array[] = [];
  for (let at = 0; at < out.length;) {
    const length = out.readUInt32BE(at);
    payloads.push(out.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return payloads;
}

/** C zlib's output for each payload: the page, or undefined where it refuses it (or bytes trail). */
export function pythonDecompress(payloads: readonly Uint8Array[]): (Uint8Array | undefined)[] {
  const parts: Uint8Array[] = [];
  for (const payload of payloads) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(payload.length);
    parts.push(length, payload);
  }
  const out = python(DECOMPRESS, [], Buffer.concat(parts));
  const pages: (Uint8Array | undefined)[] = [];
  for (let at = 0; at < out.length;) {
    const length = out.readUInt32BE(at + 1);
    pages.push(out[at] === 1 ? out.subarray(at + 5, at + 5 + length) : undefined);
    at += 5 + length;
  }
  return pages;
}

import { QevmError, type Warning } from "../../../bytes/errors.js";
import { decompressed, type Expansion } from "../compressed/decompressed.js";
import { LIBVIRT_PART_MAGIC, type Compression } from "../detect.js";
import { decodeLibvirtData, decodeLibvirtHeader, FORMATS, LIBVIRT_HEADER_LENGTH, UNFINISHED } from "./header.js";
import { RestSource, SliceSource } from "../sources.js";
import { type ByteSource, isRandom } from "../../../bytes/source.js";
import type { Container, Found, InputOptions, Step } from "../types.js";

/** Opens a libvirt save image: removes header and XML, and decompresses. */
export async function openLibvirt(
  { source, reader }: Found,
  options: InputOptions,
  expansion: Expansion = {},
): Promise<Step> {
  const offset = reader.offset;
  await reader.fill(LIBVIRT_HEADER_LENGTH);
  const head = reader.view(Math.min(reader.available, LIBVIRT_HEADER_LENGTH));
  const header = decodeLibvirtHeader(head, offset, options.unfinished);
  if (header.dataLength > MOST_XML) {
    throw new QevmError("limit", "domain XML of the libvirt image", {
      offset: offset + 20,
      expected: `at most ${MOST_XML} bytes`,
      found: `${header.dataLength}`,
    });
  }
  await reader.needLarge(header.dataLength, "the domain XML of the libvirt image");
  const data = decodeLibvirtData(reader.view(header.dataLength).slice(), header, offset + LIBVIRT_HEADER_LENGTH);
  const format = header.version === 1 ? "raw" : FORMATS[header.format]!;
  const noted = (inner: ByteSource): ByteSource => {
    if (header.magic !== LIBVIRT_PART_MAGIC) return inner;
    return Object.assign(inner, {
      warnings: [{ code: "unsupported", message: UNFINISHED, offset, path: ["libvirt header"] }] satisfies Warning[],
    });
  };
  const container: Container = { kind: "libvirt", offset, header, format, data };
  if (format !== "raw" && format !== "sparse") {
    const plain = await decompressed(format as Compression, reader, expansion);
    return { container, source: noted(plain), last: true };
  }
  const plain: ByteSource = isRandom(source)
    ? new SliceSource(source, LIBVIRT_HEADER_LENGTH + header.dataLength)
    : new RestSource(reader);
  return { container, source: noted(plain), last: true };
}

/** libvirt's own limit for a domain XML. */
const MOST_XML = 10 * 1024 * 1024 + (1 << 17);

import { hex, QevmError } from "../../../bytes/errors.js";
import { arrayOf, bytesOf, struct, u32be, u32le, type Field, type Layout } from "../../../bytes/layout.js";
import { latin1 } from "../../../bytes/reader.js";
import { fromLatin1 } from "../../../bytes/writer.js";
import { LIBVIRT_MAGIC, LIBVIRT_PART_MAGIC } from "../detect.js";

/**
 * A libvirt save image begins with 92 bytes, integers in the byte order of the machine that saved:
 *
 * | offset | size     | field                                                                    |
 * | ------ | -------- | ------------------------------------------------------------------------ |
 * | 0      | 16       | magic: `LibvirtQemudSave`, or `LibvirtQemudPart` while it is being saved |
 * | 16     | u32      | version, 1 or 2                                                          |
 * | 20     | u32      | data_len: bytes of XML, cookie and padding after the header              |
 * | 24     | u32      | was_running                                                              |
 * | 28     | u32      | format, see `FORMATS` (ignored in version 1)                       |
 * | 32     | u32      | cookieOffset: 0, or where in the data the cookie begins                  |
 * | 36     | 56       | zero                                                                     |
 * | 92     | data_len | domain XML, NUL, [cookie XML, NUL], zeros                                |
 *
 * The stream follows. Source: libvirt src/qemu/qemu_saveimage.h, 9.0 to 11.3.
 */
export interface LibvirtHeader {
  magic: string;
  version: number;
  dataLength: number;
  wasRunning: number;
  format: number;
  cookieOffset: number;
  unused: number[];
  littleEndian: boolean;
}

/** The format's names by number. */
export const FORMATS: readonly string[] = ["raw", "gzip", "bzip2", "xz", "lzop", "zstd", "sparse"];

/** Error text for an image with the magic `LibvirtQemudPart`. */
export const UNFINISHED = "an incomplete libvirt save image: saving was interrupted or failed";

type HeaderFields = Record<"version" | "dataLength" | "wasRunning" | "format" | "cookieOffset", Field<number>> & {
  magic: Field<Uint8Array>;
  unused: Field<number[]>;
};

/** In both byte orders. */
export const LIBVIRT_LAYOUTS = { little: headerLayout(u32le), big: headerLayout(u32be) };
export const LIBVIRT_HEADER_LENGTH = LIBVIRT_LAYOUTS.little.size;

function headerLayout(u32: Field<number>): Layout<HeaderFields> {
  return struct({
    magic: bytesOf(16),
    version: u32,
    dataLength: u32,
    wasRunning: u32,
    format: u32,
    cookieOffset: u32,
    unused: arrayOf(u32, 14),
  });
}

/**
 * Decodes the header at `offset`. `unfinished`: also accept an image whose saving was interrupted, which its magic
 * shows. Errors: truncated, bad-magic, unsupported-version, unsupported (unfinished image), bad-length.
 */
export function decodeLibvirtHeader(bytes: Uint8Array, offset = 0, unfinished = false): LibvirtHeader {
  const path = ["libvirt header"];
  if (bytes.length < LIBVIRT_HEADER_LENGTH) {
    throw new QevmError("truncated", "the input ends inside the libvirt header", {
      offset,
      path,
      expected: `${LIBVIRT_HEADER_LENGTH} bytes`,
      found: `${bytes.length}`,
    });
  }
  let littleEndian = true;
  let fields = LIBVIRT_LAYOUTS.little.decode(bytes);
  if (fields.version > 2) {
    littleEndian = false;
    fields = LIBVIRT_LAYOUTS.big.decode(bytes);
  }
  const magic = latin1(fields.magic);
  if (magic === LIBVIRT_PART_MAGIC && !unfinished) {
    throw new QevmError("unsupported", `${UNFINISHED}; --lenient reads the existing part`, {
      offset,
      path,
      expected: LIBVIRT_MAGIC,
      found: LIBVIRT_PART_MAGIC,
    });
  }
  if (magic !== LIBVIRT_MAGIC && magic !== LIBVIRT_PART_MAGIC) {
    throw new QevmError("bad-magic", "a libvirt save image", {
      offset,
      path,
      expected: LIBVIRT_MAGIC,
      found: JSON.stringify(magic),
    });
  }
  if (fields.version < 1 || fields.version > 2) {
    const found = hex(LIBVIRT_LAYOUTS.little.decode(bytes).version);
    throw new QevmError("unsupported-version", "version of the libvirt save image", {
      offset: offset + 16,
      path,
      expected: "1 or 2",
      found,
    });
  }
  if (fields.dataLength === 0)
    throw new QevmError("bad-length", "the libvirt image has no domain XML", { offset: offset + 20, path });
  if (fields.version >= 2 && fields.format >= FORMATS.length) {
    throw new QevmError("unsupported", "compression of the libvirt save image", {
      offset: offset + 28,
      path,
      expected: FORMATS.map((name, code) => `${code} ${name}`).join(", "),
      found: `${fields.format}`,
    });
  }
  if (fields.cookieOffset !== 0 && fields.cookieOffset >= fields.dataLength) {
    throw new QevmError("bad-offset", "libvirt cookie offset", {
      offset: offset + 32,
      path,
      expected: `below ${fields.dataLength}`,
      found: `${fields.cookieOffset}`,
    });
  }
  return { ...fields, magic, littleEndian };
}

/** Encodes the header. */
export function encodeLibvirtHeader(header: LibvirtHeader): Uint8Array {
  const layout = header.littleEndian ? LIBVIRT_LAYOUTS.little : LIBVIRT_LAYOUTS.big;
  return layout.encode({ ...header, magic: fromLatin1(header.magic, "magic of a libvirt image") });
}

/** The XML texts in the data area. */
export interface LibvirtData {
  xml: string;
  cookie: string | undefined;
  /** Number of zero bytes after the texts. */
  padding: number;
}

/**
 * Decodes the data area. Text is UTF-8. Errors: bad-value with the offset of the first byte of the padding that is not
 * zero.
 */
export function decodeLibvirtData(data: Uint8Array, header: LibvirtHeader, offset: number): LibvirtData {
  const { cookieOffset } = header;
  const texts = cookieOffset === 0 ? [data] : [data.subarray(0, cookieOffset), data.subarray(cookieOffset)];
  const decoded = texts.map((bytes, k) => {
    const end = bytes.indexOf(0);
    const stop = end < 0 ? bytes.length : end;
    const wrong = bytes.subarray(stop).findIndex((byte) => byte !== 0);
    if (wrong >= 0) {
      const at = offset + (k === 0 ? 0 : cookieOffset) + stop + wrong;
      throw new QevmError("bad-value", "libvirt image: padding that is not zero", {
        offset: at,
        path: ["libvirt header"],
      });
    }
    return { text: new TextDecoder().decode(bytes.subarray(0, stop)), rest: bytes.length - stop };
  });
  const [xml, cookie] = decoded;
  return { xml: xml!.text, cookie: cookie?.text, padding: Math.max(0, (cookie ?? xml!).rest - 1) };
}

/**
 * Encodes the data area and the header fields that depend on it. With `length`, it is padded to that length where the
 * texts leave room.
 */
export function encodeLibvirtData(data: LibvirtData, length?: number): { bytes: Uint8Array; cookieOffset: number } {
  const encoder = new TextEncoder();
  const xml = encoder.encode(`${data.xml}\0`);
  const cookie = data.cookie === undefined ? new Uint8Array(0) : encoder.encode(`${data.cookie}\0`);
  const least = xml.length + cookie.length;
  const bytes = new Uint8Array(length !== undefined && length >= least ? length : least + data.padding);
  bytes.set(xml);
  bytes.set(cookie, xml.length);
  return { bytes, cookieOffset: data.cookie === undefined ? 0 : xml.length };
}

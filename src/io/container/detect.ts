import { latin1 } from "../../bytes/reader.js";
import { littleU32 } from "./little.js";
import { isSkippable } from "./skippable.js";
import { LIBVIRT_XEN_MAGIC, LIBXL_MAGIC, SIGNATURES, XL_MAGIC } from "./xen/magics.js";

/** Compression of a whole stream. */
export type Compression = "gzip" | "bzip2" | "xz" | "lzop" | "lz4" | "zstd";

export interface Detected {
  kind: "stream" | "libvirt" | "qcow2" | "xen" | Compression | "foreign" | "unknown";
  /** Number of bytes before the stream; only with "foreign". */
  foreign: number;
}

/** Magic of a libvirt save image; the second one while it is being saved. */
export const LIBVIRT_MAGIC = "LibvirtQemudSave";
export const LIBVIRT_PART_MAGIC = "LibvirtQemudPart";

const MAGICS: readonly (readonly [Detected["kind"], readonly number[]])[] = [
  ["qcow2", [0x51, 0x46, 0x49, 0xfb]],
  ["gzip", [0x1f, 0x8b, 0x08]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ["bzip2", [0x42, 0x5a, 0x68]],
  ["lz4", [0x04, 0x22, 0x4d, 0x18]],
  ["lz4", [0x02, 0x21, 0x4c, 0x18]],
  ["lzop", [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a]],
];

/**
 * The header of a stream of version 3. At offset 0 the magic "QEVM" is enough, and any other version is refused by
 * name.
 */
const STREAM = [0x51, 0x45, 0x56, 0x4d];
const STREAM_3 = [...STREAM, 0, 0, 0, 3];

/**
 * Detects the kind of a file by its first bytes. If more bytes are given, a stream after foreign bytes is found too.
 */
export function detect(head: Uint8Array): Detected {
  if (beginsWith(head, STREAM)) return { kind: "stream", foreign: 0 };
  const sixteen = latin1(head.subarray(0, 16));
  if (sixteen === LIBVIRT_MAGIC || sixteen === LIBVIRT_PART_MAGIC) return { kind: "libvirt", foreign: 0 };
  if (isXen(latin1(head.subarray(0, 32)))) return { kind: "xen", foreign: 0 };
  const first = head.subarray(behindSkippable(head));
  for (const [kind, magic] of MAGICS) if (beginsWith(first, magic)) return { kind, foreign: 0 };
  for (let at = head.indexOf(STREAM[0]!); at >= 0; at = head.indexOf(STREAM[0]!, at + 1)) {
    if (beginsWith(head.subarray(at, at + STREAM_3.length), STREAM_3)) return { kind: "foreign", foreign: at };
  }
  return { kind: "unknown", foreign: 0 };
}

function isXen(head: string): boolean {
  return [XL_MAGIC, LIBVIRT_XEN_MAGIC, LIBXL_MAGIC, ...SIGNATURES].some((magic) => head.startsWith(magic));
}

/** Start of the first frame with content. zstd and lz4 have the same skippable frames, and `pzstd` begins with one. */
function behindSkippable(head: Uint8Array): number {
  let at = 0;
  while (at + 8 <= head.length && isSkippable(littleU32(head, at))) at += 8 + littleU32(head, at + 4);
  return at;
}

function beginsWith(bytes: Uint8Array, magic: readonly number[]): boolean {
  return bytes.length >= magic.length && magic.every((byte, k) => bytes[k] === byte);
}

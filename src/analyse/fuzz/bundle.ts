import { MemorySource, QemuFileReader } from "../../bytes/index.js";
import { gatherRecording, ROLE_BYTES, type Recording } from "../../io/recording/index.js";
import { ascii, be, concat, str8 } from "./raw-bytes.js";

/** One file of a recording in memory. */
export interface BundledFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** The magic of a bundle: the files of a recording as one byte string, since a case is one byte string. */
const MAGIC = ascii("QEVMfiles");

/** Files as one byte string: the magic, then for each str8 name, be32 length, its bytes. */
export function bundle(files: readonly BundledFile[]): Uint8Array {
  return concat(MAGIC, ...files.flatMap(({ name, bytes }) => [str8(name), be(bytes.length, 4), bytes]));
}

/** The files of a bundle; undefined where the bytes are none. Errors: truncated. */
export function unbundle(bytes: Uint8Array): BundledFile[] | undefined {
  if (bytes.length < MAGIC.length || !MAGIC.every((byte, i) => byte === bytes[i])) return undefined;
  const reader = QemuFileReader.over(bytes);
  reader.skip(MAGIC.length);
  const files: BundledFile[] = [];
  while (reader.available > 0) {
    const name = reader.string8("name of a bundled file");
    const length = reader.u32();
    files.push({ name, bytes: reader.view(length, "a bundled file") });
  }
  return files;
}

/** Files in memory as a recording. Errors: as `gatherRecording`. */
export function recordingOf(files: readonly BundledFile[]): Recording {
  const channels = files.map(({ name, bytes }) => ({
    name,
    length: bytes.length,
    head: bytes.subarray(0, ROLE_BYTES),
    open: () => Object.assign(new MemorySource(bytes), { within: [name] }),
  }));
  return gatherRecording("the bundle", channels);
}

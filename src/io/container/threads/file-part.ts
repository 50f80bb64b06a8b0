import { QemuFileReader } from "../../../bytes/reader.js";
import { random, type ByteSource } from "../../../bytes/source.js";
import { FileSource } from "../../transport/file.js";
import { SliceSource } from "../sources.js";

/** A file that another thread has open. */
export type OpenFile = NonNullable<ByteSource["openFile"]>;

/** Compressed bytes that a lane reads at a time. */
export const READ = 1 << 18;

/** Reads a file from `start` to `end`, with the offsets of the file. */
export function readerAt(
  file: OpenFile,
  start: number,
  { end = Infinity, bufferSize }: { end?: number; bufferSize?: number } = {},
): QemuFileReader {
  const source = new SliceSource(random(FileSource.shared(file)), start, end - start);
  return new QemuFileReader(source, bufferSize === undefined ? {} : { bufferSize });
}

import type { RandomSource } from "../../bytes/source.js";

/** A file of a recording. Every `open` begins at its first byte. */
export interface RecordedFile {
  readonly name: string;
  /** In bytes. */
  readonly length: number;
  open(): RandomSource;
}

/** The files of a folder with a recording, in place of its path where there are no paths. */
export interface RecordedFiles {
  /** The folder's name, for messages. */
  readonly name: string;
  readonly files: readonly RecordedFile[];
}

/** Whether an input is the files of a recording. */
export function isRecordedFiles(input: unknown): input is RecordedFiles {
  if (typeof input !== "object" || input === null) return false;
  return "name" in input && "files" in input && Array.isArray(input.files);
}

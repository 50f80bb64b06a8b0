import { closeSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Warning } from "../../bytes/errors.js";
import type { ByteSink, ByteSource } from "../../bytes/source.js";
import { Handover } from "../../io/recording/index.js";
import { writeAll } from "../../io/transport/attempt.js";
import { AtomicFolder } from "../../io/transport/folder.js";
import { createFile, writeNewFile } from "../../io/transport/temporary.js";
import { convertStream } from "./convert.js";
import { splitStream, type ToRecordingOptions, type ToRecordingReport } from "./to-recording.js";
import type { ConvertOptions, ConvertReport } from "./types.js";

/** What the folder holds. */
export interface RecordingFolderReport extends ToRecordingReport {
  files: { file: string; channelLength: number }[];
  /** As `ConvertReport` has them. */
  warnings: readonly Warning[];
  passedOver: number;
}

/**
 * Writes any stream as the recording of a migration with multifd, into a folder that is written atomically:
 * `main.bin`, `multifd-N.bin` and `recording.json`. Compressed, XBZRLE and mapped pages become plain ones on the way.
 * Errors: as `convertStream` and `splitStream`.
 */
export async function convertToRecording(
  source: ByteSource,
  out: string,
  options: ToRecordingOptions &
    Pick<ConvertOptions, "flatten" | "machine" | "dropVmdescription"> & { channels: number },
): Promise<RecordingFolderReport> {
  const { flatten, machine, dropVmdescription, channels, ...how } = options;
  const folder = new AtomicFolder(out);
  const names = ["main.bin", ...Array.from({ length: channels }, (_, k) => `multifd-${k}.bin`)];
  const files: FileSink[] = [];
  let converted: ConvertReport | undefined;
  const plain = new Handover(async (sink) => {
    const wanted = { ram: "normal", to: "stream", flatten, machine, dropVmdescription } as const;
    converted = await convertStream(source, sink, { ...how, ...wanted, level: undefined }, dirname(folder.temporary));
  }, []);
  try {
    for (const name of names) files.push(new FileSink(join(folder.temporary, name)));
    const report = await splitStream(plain, files[0]!, files.slice(1), { ...how, lenient: false });
    for (const file of files) file.close();
    const list = { version: 1, channels: names.map((file) => ({ file })) };
    writeNewFile(join(folder.temporary, "recording.json"), `${JSON.stringify(list)}\n`);
    folder.commit();
    const { warnings = [], passedOver = 0 } = converted ?? {};
    return {
      ...report,
      warnings,
      passedOver,
      files: names.map((file, k) => ({ file, channelLength: files[k]!.length })),
    };
  } finally {
    plain.close();
    for (const file of files) file.close();
    folder.abort();
  }
}

/** A file that is written from its start to its end. */
class FileSink implements ByteSink {
  length = 0;
  private fd: number | undefined;

  constructor(private readonly path: string) {
    this.fd = createFile(path);
  }

  write(chunk: Uint8Array): void {
    writeAll(this.path, this.fd!, chunk, null);
    this.length += chunk.length;
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }
}

import { join } from "node:path";
import { latin1, QemuFileWriter } from "../../bytes/index.js";
import { encodeSectionRecord, type SectionRecord } from "../../codec/sections/index.js";
import { GatheredFile } from "./gathered-file.js";

/** Chunks up to this many bytes share a file with equal ones. */
const SMALL = 64;

/**
 * The chunks of sections that consist of records, as the stream has them, a file each. A migration has thousands that
 * say only that they end; those share one.
 */
export class ChunkFiles {
  private readonly small = new Map<string, string>();

  constructor(private readonly folder: string) {}

  /** Writes a chunk; returns its file: `file`, or that of a chunk that is the same. */
  async write(file: string, entries: AsyncGenerator<SectionRecord>): Promise<string> {
    let out: GatheredFile | undefined;
    let small: Uint8Array | undefined;
    const open = (): GatheredFile => (out ??= new GatheredFile(join(this.folder, file)));
    const writer = new QemuFileWriter({
      write: (bytes) => {
        if (out === undefined && small === undefined && bytes.length <= SMALL) {
          small = bytes.slice();
          return;
        }
        if (small !== undefined) open().write(small);
        small = undefined;
        open().write(bytes);
      },
    });
    try {
      for await (const record of entries) {
        encodeSectionRecord(writer, record);
        await writer.drain();
      }
      await writer.flush();
      if (small !== undefined) {
        const key = latin1(small);
        const known = this.small.get(key);
        if (known !== undefined) return known;
        this.small.set(key, file);
        open().write(small);
      }
      out?.flush();
      return file;
    } finally {
      out?.close();
    }
  }
}

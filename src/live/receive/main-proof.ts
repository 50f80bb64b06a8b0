import { QevmError } from "../../bytes/errors.js";
import { StreamReader } from "../../codec/stream/index.js";
import { FedSource } from "./fed-source.js";

/** How a connection that begins with a stream header goes on. */
export type Proof = "ram" | "damaged" | "ended";

/** Parses a main channel up to the end of its first RAM block list, which shows that it is a migration. */
export class MainProof {
  /** Resolves once it is known. */
  readonly decided: Promise<Proof>;
  /** The source opened a return path: it waits for replies. */
  returnPath = false;
  private readonly source = new FedSource();

  constructor() {
    this.decided = this.follow().finally(() => this.source.finish());
  }

  /** Resolves when the bytes were parsed, or are no longer needed. */
  async feed(chunk: Uint8Array): Promise<void> {
    await this.source.feed(chunk);
  }

  /** The connection has ended. */
  end(): void {
    this.source.finish();
  }

  private async follow(): Promise<Proof> {
    try {
      // Any page size does, because no page is read; without one the reader would wait for pages that show it.
      const reader = new StreamReader(this.source, { lenient: true, bufferSize: 1 << 12, pageSize: 4096 });
      for await (const item of reader) {
        if (item.kind === "eof") return "ram";
        if (item.kind === "section" && item.content.kind === "ram") {
          for await (const batch of item.records()) if (batch.blockList !== undefined) return "ram";
        } else if (item.kind === "command" && item.command.name === "OPEN_RETURN_PATH") this.returnPath = true;
        else if (item.kind === "opaque" || item.kind === "trailing") for await (const _ of item.chunks());
      }
      return "ended";
    } catch (error) {
      return error instanceof QevmError && error.code === "truncated" ? "ended" : "damaged";
    }
  }
}

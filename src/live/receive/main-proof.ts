import { QevmError } from "../../bytes/errors.js";
import { PAGE_FLAGS, type RamState } from "../../codec/ram/index.js";
import { StreamReader } from "../../codec/stream/index.js";
import { FedSource } from "../../bytes/fed-source.js";

/** How a connection that begins with a stream header goes on. */
export type Proof = "ram" | "damaged" | "ended";

/**
 * Parses a main channel up to its first page or to what follows the setup of RAM, which shows that a migration is under
 * way.
 */
export class MainProof {
  /** Resolves once it is known. */
  readonly decided: Promise<Proof>;
  /** The source opened a return path: it waits for replies. */
  returnPath = false;
  /** The block list of the RAM section has come. */
  listed = false;
  /** Resolves when it has: what was fed is parsed after `feed` has resolved. */
  readonly whenListed: Promise<void>;
  private tellListed: () => void = () => undefined;
  private readonly source = new FedSource();
  private readonly reader: StreamReader;

  constructor() {
    // Any page size does, because no page is read; without one the reader would wait for pages that show it.
    this.reader = new StreamReader(this.source, { lenient: true, bufferSize: 1 << 12, pageSize: 4096 });
    this.whenListed = new Promise((resolve) => {
      this.tellListed = resolve;
    });
    this.decided = this.follow().finally(() => this.source.finish());
  }

  /** The RAM blocks, as far as they have come. */
  get ram(): RamState {
    return this.reader.ram;
  }

  /** Resolves when the bytes were taken, or are no longer needed. */
  async feed(chunk: Uint8Array): Promise<void> {
    await this.source.feed(chunk);
  }

  /** The connection has ended. */
  end(): void {
    this.source.finish();
  }

  private async follow(): Promise<Proof> {
    try {
      for await (const item of this.reader) {
        if (item.kind === "eof") return "ram";
        if (item.kind === "section" && item.content.kind === "ram") {
          if (this.listed) return "ram";
          for await (const batch of item.records()) {
            if (batch.blockList !== undefined) {
              this.listed = true;
              this.tellListed();
            }
            for (let i = 0; i < batch.count; i++) if ((batch.flag[i]! & PAGE_FLAGS) !== 0) return "ram";
          }
        } else if (item.kind === "command" && item.command.name === "OPEN_RETURN_PATH") this.returnPath = true;
        else if (item.kind === "opaque" || item.kind === "trailing") for await (const _ of item.chunks());
      }
      return "ended";
    } catch (error) {
      return error instanceof QevmError && error.code === "truncated" ? "ended" : "damaged";
    }
  }
}

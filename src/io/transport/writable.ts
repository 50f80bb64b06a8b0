import type { Writable } from "node:stream";
import { QevmError } from "../../bytes/errors.js";
import type { ByteSink } from "../../bytes/source.js";

/**
 * A Node stream (socket, pipe, standard output) as a sink. Each write waits until the stream has accepted the bytes.
 */
export class WritableSink implements ByteSink {
  private failure: Error | undefined;
  private fail: ((error: Error) => void) | undefined;

  /** @param name the name for errors */
  constructor(
    private readonly stream: Writable,
    private readonly name: string,
  ) {
    const failed = (error: Error): void => {
      this.failure ??= error;
      this.fail?.(this.failure);
    };
    stream.on("error", failed);
    stream.on("close", () => failed(new Error("closed")));
  }

  async write(chunk: Uint8Array): Promise<void> {
    await this.wait((done) => this.stream.write(chunk, done));
  }

  async gather(pieces: readonly Uint8Array[]): Promise<void> {
    const { stream } = this;
    await this.wait((done) => {
      stream.cork();
      for (const piece of pieces.slice(0, -1)) stream.write(piece);
      stream.write(pieces.at(-1) ?? new Uint8Array(0), done);
      stream.uncork();
    });
  }

  async end(): Promise<void> {
    await this.wait((done) => this.stream.end(done));
  }

  private async wait(start: (done: (error?: Error | null) => void) => void): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => {
        if (this.failure !== undefined) reject(this.failure);
        this.fail = reject;
        start((error) => {
          if (error === undefined || error === null) resolve();
          else reject(error);
        });
      });
    } catch (error) {
      throw new QevmError("io", `${this.name}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    } finally {
      this.fail = undefined;
    }
  }
}

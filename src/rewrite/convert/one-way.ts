import { QevmError } from "../../bytes/errors.js";
import type { ExactWriter, StreamItem } from "../../codec/stream/index.js";

/**
 * A stream in one round sends no requests back and waits for nothing: the commands of postcopy and of the return path
 * are left out, and what a package holds comes after the pages without its wrapping. What was recorded of a postcopy
 * migration thus becomes a stream that any destination loads, from a file too.
 */
export class OneWay {
  private inPackage = false;
  private held: StreamItem[] = [];

  /**
   * Whether the item is left out here: for good, or until `release`. Errors: unsupported for device state in a package
   * that is not decoded at all.
   */
  drops(item: StreamItem): boolean {
    if (item.kind === "package-end") this.inPackage = false;
    if (item.kind === "opaque" && this.inPackage) {
      throw new QevmError("unsupported", `the package cannot be taken apart: ${item.reason}`, { offset: item.offset });
    }
    if (item.kind !== "command") {
      if (this.inPackage) this.held.push(item);
      return this.inPackage || item.kind === "package-end";
    }
    if (item.command.name === "PACKAGED") this.inPackage = true;
    if (item.command.name === "POSTCOPY_ADVISE") return item.command.ram !== undefined;
    return TWO_WAY.has(item.command.name);
  }

  /** Writes what packages held; called after the last section of RAM and its footer. */
  async release(writer: ExactWriter): Promise<void> {
    const { held } = this;
    this.held = [];
    for (const item of held) await writer.item(item);
  }
}

const TWO_WAY: ReadonlySet<string> = new Set([
  "OPEN_RETURN_PATH",
  "PING",
  "POSTCOPY_LISTEN",
  "POSTCOPY_RUN",
  "POSTCOPY_RAM_DISCARD",
  "PACKAGED",
  "POSTCOPY_RESUME",
  "RECV_BITMAP",
]);

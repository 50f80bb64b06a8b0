import { QevmError } from "../../bytes/errors.js";
import { QemuFileReader } from "../../bytes/index.js";
import { decodeReturnMessage } from "../../codec/stream/index.js";

/** Size of SHUT: be16 type, be16 length, be32 value. */
const LENGTH = 8;

/** The last bytes of the destination's replies, which end with SHUT. */
export class ReturnTail {
  private tail: Uint8Array = new Uint8Array(0);

  /** For `openDestination`. */
  readonly answers = async (chunk: Uint8Array): Promise<void> => {
    this.note(chunk);
    await Promise.resolve();
  };

  /** Errors: bad-value, where the destination reports that it has not loaded everything. */
  async check(): Promise<void> {
    const shut = await this.shut();
    if (shut !== undefined && shut !== 0) throw notLoaded(shut);
  }

  note(chunk: Uint8Array): void {
    const joined = new Uint8Array(this.tail.length + chunk.length);
    joined.set(this.tail);
    joined.set(chunk, this.tail.length);
    this.tail = joined.slice(-LENGTH);
  }

  /** The value of SHUT: 0 where the destination has loaded everything; undefined where SHUT is not the last message. */
  async shut(): Promise<number | undefined> {
    if (this.tail.length < LENGTH || this.tail[0] !== 0 || this.tail[1] !== 1 || this.tail[3] !== 4) return undefined;
    const message = await decodeReturnMessage(QemuFileReader.over(this.tail));
    return message?.name === "SHUT" ? message.value : undefined;
  }
}

/** The error of a destination whose last message is not SHUT 0. @param shut its value; undefined: it sent none */
export function notLoaded(shut: number | undefined): QevmError {
  const [code, what, found] =
    shut === undefined
      ? (["truncated", "the destination closed before it had loaded everything", "no SHUT"] as const)
      : (["bad-value", "the destination reports that the migration failed", `SHUT ${shut}`] as const);
  return new QevmError(code, what, { expected: "SHUT 0", found });
}

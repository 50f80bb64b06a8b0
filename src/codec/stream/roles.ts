import { isMultifdChannel } from "../multifd/index.js";
import { RamFlag } from "../ram/index.js";
import { CommandNumber } from "./command.js";
import { isReturnPath } from "./return-path.js";
import { TypeByte } from "./types.js";

/** What the connections of one migration are for. */
export type ChannelRole =
  /** The stream: header, sections, commands. */
  | "main"
  /**
   * The stream again, over another connection than the one that broke: sections and commands without a header (3.0).
   */
  | "resumed"
  /** Packets of pages. */
  | "multifd"
  /** RAM records without any framing: pages that the destination asked for (postcopy-preempt, 7.1). */
  | "preempt"
  /** What the destination sends back. */
  | "return-path";

/** Bytes of a channel that identify its role. */
export const ROLE_BYTES = 266;

/** Tells by the first bytes what a channel is; undefined: none of these. */
export function roleOf(head: Uint8Array): ChannelRole | undefined {
  if (head[0] === 0x51 && head[1] === 0x45 && head[2] === 0x56 && head[3] === 0x4d) return "main";
  if (isResumed(head)) return "resumed";
  if (isMultifdChannel(head)) return "multifd";
  if (isReturnPath(head)) return "return-path";
  return isPreempt(head) ? "preempt" : undefined;
}

/** RECV_BITMAP or, where there is no block to ask about, POSTCOPY_RESUME. */
function isResumed(head: Uint8Array): boolean {
  if (head[0] !== TypeByte.COMMAND || head[1] !== 0) return false;
  const length = (head[3] ?? 0) * 256 + (head[4] ?? 0);
  if (head[2] === CommandNumber.POSTCOPY_RESUME) return length === 0;
  return head[2] === CommandNumber.RECV_BITMAP && length === 1 + (head[5] ?? 0);
}

/** A page's record with a block name, or EOS alone (7.1 and 7.2, where nothing was asked for). */
function isPreempt(head: Uint8Array): boolean {
  if (head.length < 8) return false;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  // Blocks end below 2^48, and flags below every page size.
  if (view.getUint16(0) !== 0) return false;
  const flags = view.getUint32(4) & 0x3ff;
  if (flags === RamFlag.EOS) return head.length === 8;
  const length = head[8] ?? 0;
  const name = head.subarray(9, 9 + length);
  const printable = name.every((byte) => byte >= 0x20 && byte < 0x7f);
  return (flags === RamFlag.PAGE || flags === RamFlag.ZERO) && length > 0 && name.length === length && printable;
}

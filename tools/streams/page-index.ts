/** Page indexes (chapter 61) changed on purpose: the head, with a checksum that is right. Nothing here is of `src`. */
import { sha256Of } from "../sha256.js";

const LEAD = 48;

/** The head, and the bytes of the pages after it. */
export function indexParts(index: Uint8Array): { head: string; body: Buffer } {
  const bytes = Buffer.from(index);
  const end = LEAD + bytes.readUInt32LE(12);
  return { head: bytes.toString("utf8", LEAD, end), body: bytes.subarray(end) };
}

/** The index with another head, or other pages. */
export function indexWith(index: Uint8Array, head: string, body = indexParts(index).body): Buffer {
  const text = Buffer.from(head);
  const lead = Buffer.from(index.subarray(0, LEAD));
  lead.writeUInt32LE(text.length, 12);
  lead.write(sha256Of(text), 16, "hex");
  return Buffer.concat([lead, text, body]);
}

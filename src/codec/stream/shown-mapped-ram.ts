import type { QemuFileReader } from "../../bytes/index.js";
import { TypeByte } from "./types.js";

/** START, section id, "ram", instance and version; then the total. */
const NAME_AT = 5;
const LIST_AT = 25;

/**
 * Whether the section at the reader's position begins the RAM of a mapped-ram file. The configuration says so, but may
 * be left out (`send-configuration` off, machine types before 2.4). After the first block's length come be32 version 1
 * and be64 page size then: no block name, no backing page size and no record begins with those bytes. Nothing is
 * consumed.
 */
export async function showsMappedRam(reader: QemuFileReader): Promise<boolean> {
  if (!(await reader.fill(LIST_AT + 1)) || reader.peek() !== TypeByte.SECTION_START) return false;
  const name = String.fromCharCode(...[0, 1, 2, 3].map((i) => reader.peek(NAME_AT + i)));
  if (name !== "\x03ram") return false;
  const header = LIST_AT + 1 + reader.peek(LIST_AT) + 8;
  if (!(await reader.fill(header + 12))) return false;
  let version = 0;
  for (let i = 0; i < 4; i++) version = version * 256 + reader.peek(header + i);
  let pageSize = 0;
  for (let i = 4; i < 12; i++) pageSize = pageSize * 256 + reader.peek(header + i);
  return version === 1 && pageSize >= 256 && pageSize <= 65_536 && Number.isInteger(Math.log2(pageSize));
}

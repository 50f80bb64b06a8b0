import { closeSync, openSync } from "node:fs";
import { attempt, readAll } from "../../io/transport/attempt.js";

/** The block of the ACPI tables that the firmware copies into memory. */
export const ACPI_TABLES = "/rom@etc/acpi/tables";
/** Maximum size of the tables in bytes. */
export const MOST_TABLES = 4 << 20;

/** The tables from the block's extracted file. Errors: io. */
export function tablesOf(path: string): Uint8Array {
  const fd = attempt(path, () => openSync(path, "r"));
  try {
    const bytes = new Uint8Array(MOST_TABLES);
    return bytes.subarray(0, readAll(path, fd, bytes, 0));
  } finally {
    closeSync(fd);
  }
}

/** Start of the hole in the first megabyte, which no memory range covers. */
const HOLE_START = 0xa0000;
const HOLE_LENGTH = 0x60000;

/**
 * Size of each NUMA node in bytes, in order, from the SRAT in a machine's ACPI tables; undefined where there is none.
 *
 * SRAT: "SRAT", u32 length, 48 bytes of header in all, then entries of u8 type, u8 length. Type 1 (40 bytes): at 2 u32
 * node, at 8 u64 base, at 16 u64 length, at 28 u32 flags: 1 enabled, 2 hot-pluggable (room, not memory), 4 not volatile
 * (an NVDIMM). Little-endian. Source: the ACPI specification, 5.2.16; QEMU hw/i386/acpi-build.c build_srat (7.2).
 */
export function numaNodes(tables: Uint8Array): number[] | undefined {
  const view = new DataView(tables.buffer, tables.byteOffset, tables.length);
  for (let at = tables.indexOf(SRAT[0]!); at >= 0 && at + 48 <= tables.length; at = tables.indexOf(SRAT[0]!, at + 1)) {
    if (!SRAT.every((byte, k) => tables[at + k] === byte)) continue;
    const end = at + view.getUint32(at + 4, true);
    if (end < at + 48 || end > tables.length) continue;
    const nodes = entries(view, at + 48, end);
    if (nodes.length > 0) return nodes;
  }
  return undefined;
}

/** "SRAT" */
const SRAT = [0x53, 0x52, 0x41, 0x54];

function entries(view: DataView, from: number, end: number): number[] {
  const nodes = new Map<number, number>();
  for (let at = from; at + 2 <= end && view.getUint8(at + 1) >= 2; at += view.getUint8(at + 1)) {
    if (view.getUint8(at) !== 1 || view.getUint8(at + 1) !== 40 || at + 40 > end) continue;
    const flags = view.getUint32(at + 28, true);
    const base = Number(view.getBigUint64(at + 8, true));
    const length = Number(view.getBigUint64(at + 16, true));
    if ((flags & 7) !== 1 || length === 0) continue;
    const node = view.getUint32(at + 2, true);
    const hole = base < HOLE_START && base + length === HOLE_START ? HOLE_LENGTH : 0;
    nodes.set(node, (nodes.get(node) ?? 0) + length + hole);
  }
  return [...nodes].toSorted(([a], [b]) => a - b).map(([, length]) => length);
}

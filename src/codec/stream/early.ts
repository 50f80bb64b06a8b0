import { latin1, type QemuFileReader } from "../../bytes/index.js";
import { decodeDevice, parseVmDescription, type DeviceDescription } from "../vmstate/index.js";
import type { SectionContent } from "./items.js";
import type { StreamLimits } from "./limits.js";

/**
 * Device state that comes before the pages: FULL "PATH/virtio-mem-device-early", version 1 (8.0; machine types from 8.0
 * on). It says which blocks of memory are plugged in, so that the loader knows before their pages come.
 *
 * | bytes | field         |                                             |
 * |-------|---------------|---------------------------------------------|
 * | be64  | addr          | guest-physical address of the region        |
 * | be64  | region_size   | bytes                                       |
 * | be64  | block_size    | bytes                                       |
 * | be32  | node          | NUMA node                                   |
 * | be64  | size          | bytes that are plugged in                   |
 * | 8 n   | bitmap        | be64 words, a bit for each block of the region; 1: plugged in |
 *
 * Its description comes after all of the memory; this one is the same, so the memory need not be held to read it.
 *
 * Source: QEMU hw/virtio/virtio-mem.c vmstate_virtio_mem_device_early (8.0 to 11.1).
 */
const NAME = /(?:^|\/)virtio-mem-device-early$/u;
/** Whether sections of that name come before the pages. */
export function isEarlySection(idstr: string): boolean {
  return NAME.test(idstr);
}

const VERSION = 1;
const FIXED = 36;

/**
 * The description of the section whose header comes next, if it is such a section; its payload is then in the buffer.
 * Errors: truncated, limit.
 */
export async function earlyDescription(
  reader: QemuFileReader,
  limits: StreamLimits,
): Promise<DeviceDescription | undefined> {
  await reader.need(6, "section header");
  const length = reader.peek(5);
  const head = 6 + length + 8;
  await reader.need(head, "section header");
  const { position } = reader;
  const name = latin1(reader.buffer.subarray(position + 6, position + 6 + length));
  if (!isEarlySection(name)) return undefined;
  await reader.need(head + FIXED, name);
  const view = new DataView(reader.buffer.buffer, reader.buffer.byteOffset + reader.position);
  if (view.getUint32(head - 4) !== VERSION) return undefined;
  const [region, block] = [view.getBigUint64(head + 8), view.getBigUint64(head + 16)];
  const at = reader.offset + head + 16;
  if (block === 0n) throw reader.error("bad-value", "block size of virtio-mem", { offset: at, found: "0" });
  const bits = region / block;
  if (bits > BigInt(limits.bitmapBytes) * 8n) {
    const where = { offset: at, expected: `at most ${limits.bitmapBytes} bytes`, found: `${bits} bits` };
    throw reader.error("limit", "bitmap of plugged memory", where);
  }
  const bytes = Math.ceil(Number(bits) / 64) * 8;
  const description = describe(name, view.getUint32(head - 8), bytes);
  await reader.needLarge(head + FIXED + bytes, name);
  return description;
}

/** Decodes the payload after the header. */
export function decodeEarly(reader: QemuFileReader, description: DeviceDescription): SectionContent {
  const start = reader.offset;
  const state = decodeDevice(reader, description);
  return { kind: "device", state, length: reader.offset - start };
}

function number(name: string, size: number): unknown {
  return { name, type: `uint${size * 8}`, size };
}

function describe(name: string, instance: number, bytes: number): DeviceDescription | undefined {
  const checks = [number("addr", 8), number("region_size", 8), number("block_size", 8), number("node", 4)];
  const tmp = { name: "tmp", type: "tmp", vmsd_name: "virtio-mem-device/sanity-checks", version: 0, fields: checks };
  const device = {
    name,
    instance_id: instance,
    vmsd_name: "virtio-mem-device-early",
    version: VERSION,
    fields: [{ ...tmp, size: 28 }, number("size", 8), { name: "bitmap", type: "bitmap", size: bytes }],
  };
  return parseVmDescription(JSON.stringify({ page_size: 4096, devices: [device] })).devices[0];
}

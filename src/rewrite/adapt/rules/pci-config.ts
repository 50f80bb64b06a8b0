import type { FieldValue, RecordValue } from "../../../codec/vmstate/index.js";
import { isZero, type MergeContext, type Remedy } from "../context.js";
import { capabilitiesOf, capabilityLength, writableBits, type Capability } from "./pci-registers.js";

/**
 * PCI configuration space: what the device is from the pattern, what the guest wrote from the old stream. QEMU
 * refuses any other mixture (hw/pci/pci.c `get_pci_config_device`).
 */
export function mergePciConfig(old: RecordValue, pattern: RecordValue, ctx: MergeContext): RecordValue {
  const record = { ...old.record };
  const theirs = pattern.record;
  for (const name of ["vendor_id", "device_id"]) {
    if (record[name] === theirs[name]) continue;
    ctx.within(name, () =>
      ctx.note("pci-device", "never", record[name], theirs[name], "another device is at this place of the destination"),
    );
  }
  for (const name of IDENTITY) {
    if (name in record && record[name] !== theirs[name]) {
      ctx.within(name, () => ctx.note("pci-identity", "unused", record[name], theirs[name], READ_ONCE));
      record[name] = theirs[name]!;
    }
  }
  const bar = (name: string): void => {
    const [mine, like] = [Number(record[name] ?? 0), Number(theirs[name] ?? 0)];
    if (like === 0 || (mine & 0xf) === (like & 0xf)) return;
    const kind = (like & 1) === 0 ? 0xf : 0x3;
    if ((mine & kind) === (like & kind)) return;
    const used = (mine & ~0xf) !== 0;
    const text = "the kind of this BAR is another one: the destination needs the old machine's properties";
    ctx.within(name, () => ctx.note("pci-bar", used ? "never" : "unused", mine, like, text));
    record[name] = used ? (mine & ~kind) | (like & kind) : like;
  };
  for (let i = 0; i < 6; i++) bar(`bar${i}`);
  // Bit 4 says that there are capabilities.
  record["status"] = (Number(record["status"]) & ~0x10) | (Number(theirs["status"]) & 0x10);
  mergeRegisters(record, theirs, ctx);
  return { record };
}

const KNOWING = "a QEMU that knows the guest's machine type, or the driver unloaded in the guest before it is saved";
const OLD_PROPERTIES = "the old machine's properties";
/** Capability of MSI-X. */
const MSIX = 0x11;
const READ_ONCE = "drivers read it when they start; the destination compares it";
const IDENTITY = [
  "revision",
  "prog_if",
  "class",
  "header_type",
  "subsystem_vendor_id",
  "subsystem_id",
  "interrupt_pin",
  "min_gnt",
  "max_lat",
];

type Fields = Record<string, FieldValue>;

/** The configuration space from its 64th byte on, under the offsets of the whole. */
function space({ registers }: Fields): Uint8Array | undefined {
  if (!(registers instanceof Uint8Array)) return undefined;
  const whole = new Uint8Array(64 + registers.length);
  whole.set(registers, 64);
  return whole;
}

/** With the length that the destination has: a device is of PCI Express in one of the two. */
function sizedSpace(mine: Uint8Array | undefined, length: number): Uint8Array | undefined {
  if (mine === undefined || mine.length === length) return mine;
  const sized = new Uint8Array(length);
  sized.set(mine.subarray(0, length));
  return sized;
}

/** The first capability; a bridge has it in the bytes of its header. */
function first({ capabilities, header }: Fields): number {
  if (typeof capabilities === "number") return capabilities;
  return header instanceof Uint8Array ? (header[0x34 - 0x10] ?? 0) : 0;
}

function mergeRegisters(record: Fields, theirs: Fields, ctx: MergeContext): void {
  const like = space(theirs);
  const mine = like === undefined ? undefined : sizedSpace(space(record), like.length);
  if (mine === undefined || like === undefined) return;
  const old = capabilitiesOf(mine, first(record));
  const wanted = capabilitiesOf(like, first(theirs));
  const out = mine.slice();
  for (const capability of wanted) {
    const { id, at } = capability;
    const same = old.some((one) => one.id === id && one.at === at);
    const from = same ? at : elsewhere(id, old, wanted);
    for (let i = 0; i < capabilityLength(like, capability) && at + i < out.length; i++) {
      const mask = from === undefined ? 0 : writableBits(like, capability, i);
      const value = ((mine[from! + i] ?? 0) & mask) | (like[at + i]! & ~mask & 0xff);
      out[at + i] = value;
    }
    if (same && id === MSIX && ((mine[at + 2]! ^ like[at + 2]!) | ((mine[at + 3]! ^ like[at + 3]!) & 7)) !== 0) {
      const [was, now] = [vectors(mine, at), vectors(like, at)];
      const what = "the guest's interrupts are programmed in a table of another length";
      ctx.within("MSI-X", () => ctx.note("msix-vectors", "never", was, now, what, vectorsRemedy(was, ctx)));
    }
  }
  for (const { id, at } of old) {
    if (wanted.some((one) => one.id === id && one.at === at)) continue;
    const moved = wanted.find((one) => one.id === id)?.at;
    const there = elsewhere(id, old, wanted);
    const lacked = id === MSIX ? vectorsRemedy(vectors(mine, at), ctx) : OLD_PROPERTIES;
    const remedy = there === undefined ? lacked : KNOWING;
    const what =
      there === undefined
        ? "the destination's device lacks this capability"
        : "the destination's device has this capability elsewhere: it works as it is set, until the guest sets it anew";
    ctx.within(`capability 0x${id.toString(16)}`, () =>
      ctx.note("pci-capability", "guest", at, there === undefined ? undefined : moved, what, remedy),
    );
  }
  for (const { id, at } of wanted) {
    if (old.some((one) => one.id === id && one.at === at) || elsewhere(id, old, wanted) !== undefined) continue;
    const what = "a capability that the guest has not seen: it comes as the destination starts";
    ctx.within(`capability 0x${id.toString(16)}`, () => ctx.note("pci-capability-new", "unused", undefined, at, what));
  }
  extended(mine, like, out, ctx);
  record["registers"] = out.subarray(64);
  if ("capabilities" in theirs) record["capabilities"] = theirs["capabilities"]!;
}

/** Where the guest has the only capability of a kind; undefined: nowhere, or there are several. */
function elsewhere(id: number, old: readonly Capability[], wanted: readonly Capability[]): number | undefined {
  const [mine, theirs] = [old, wanted].map((list) => list.filter((one) => one.id === id));
  return mine?.length === 1 && theirs?.length === 1 ? mine[0]!.at : undefined;
}

/** Extended capabilities of a device whose whole configuration space is one field. */
function extended(mine: Uint8Array, like: Uint8Array, out: Uint8Array, ctx: MergeContext): void {
  if (out.length > 0x100) out.set(mergeExtended(mine.subarray(0x100), like.subarray(0x100), ctx), 0x100);
}

/** Capability of advanced error reporting, and the offset in it of the mask of uncorrectable errors. */
const AER = 0x0001;
const ERROR_MASK = 8;
/** Alternative routing id. */
const ARI = 0x000e;

/**
 * Extended capabilities, from byte 0x100 on: the old ones where the chain is the same, else the pattern's. The mask of
 * uncorrectable errors is a register since 8.0; before, it reads as zero and takes nothing else (hw/pci/pcie_aer.c,
 * property x-pcie-err-unc-mask, 7.2 and 11.1).
 */
export function mergeExtended(mine: Uint8Array, like: Uint8Array, ctx: MergeContext): Uint8Array {
  if (!sameChain(mine, like)) {
    const what = "other extended capabilities, which drivers read when they start: the destination's";
    ctx.within("extended", () => ctx.note("pci-extended", "unused", mine, like, what));
    return like;
  }
  const out = mine.slice();
  for (const { id, at } of extendedCapabilities(like)) {
    // The next function is what the device is.
    if (id === ARI) out.set(like.subarray(at + 4, at + 6), at + 4);
    const [from, to] = [at + ERROR_MASK, at + ERROR_MASK + 4];
    if (id !== AER || !isZero(like.subarray(from, to)) || isZero(mine.subarray(from, to))) continue;
    const what = "the destination's device has no mask of uncorrectable errors, which are only injected";
    ctx.within("extended", () => ctx.note("pci-error-mask", "unused", mine.slice(from, to), 0, what));
    out.fill(0, from, to);
  }
  return out;
}

function extendedCapabilities(bytes: Uint8Array): { id: number; at: number }[] {
  const found: { id: number; at: number }[] = [];
  for (let at = 0; found.length < 64 && at + 4 <= bytes.length;) {
    const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(at, at + 4);
    if (a === 0 && b === 0) break;
    found.push({ id: a | (b << 8), at });
    const next = (d << 4) | (c >> 4);
    if (next < 0x100 || next - 0x100 <= at) break;
    at = next - 0x100;
  }
  return found;
}

/** Whether two extended configuration spaces, from byte 0x100 on, hold the same capabilities at the same places. */
function sameChain(mine: Uint8Array, like: Uint8Array): boolean {
  for (let at = 0, steps = 0; steps < 64; steps++) {
    for (let i = 0; i < 4; i++) if (mine[at + i] !== like[at + i]) return false;
    const next = ((like[at + 3] ?? 0) << 4) | ((like[at + 2] ?? 0) >> 4);
    if (next < 0x100) return true;
    at = next - 0x100;
  }
  return true;
}

/** Devices whose interrupts became MSI-X in 10.0: before, no property gives them any (hw/virtio, 7.2 and 11.1). */
const WITHOUT_VECTORS = /\/virtio-(?:balloon|mem)"/u;

/** What sets the length of the MSI-X table. Source: hw/virtio/virtio-pci.c, hw/misc/ivshmem-pci.c, hw/nvme/ctrl.c. */
const VECTORS: readonly (readonly [devices: RegExp, property: string])[] = [
  [/\/virtio-[\w-]+"|\/vhost-[\w-]+"/u, "vectors"],
  [/\/ivshmem[\w-]*"/u, "vectors"],
  [/\/nvme"/u, "msix_qsize"],
];

function vectorsRemedy(count: number, { section, facts: { release } }: MergeContext): string | Remedy {
  if (release !== undefined && /^\d\./u.test(release) && WITHOUT_VECTORS.test(section)) {
    return "vectors=0 where the guest is started, or the device unplugged before it is saved: QEMU has this since 10.0";
  }
  const property = VECTORS.find(([devices]) => devices.test(section))?.[1];
  return property === undefined ? "the properties of the old command line" : { property, value: String(count) };
}

function vectors(bytes: Uint8Array, at: number): number {
  return ((bytes[at + 2]! | (bytes[at + 3]! << 8)) & 0x7ff) + 1;
}

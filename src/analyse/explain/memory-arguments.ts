/** `-m`, memory backends and memory devices as a stream shows them. */
import { cmosMemory, isDeviceBlock, isModuleName } from "../../guest/layout/main-memory.js";
import { isEarlySection } from "../../codec/stream/early.js";
import { isStructState, type DeviceState, type FieldValue } from "../../codec/vmstate/index.js";
import { byNumber } from "./disks.js";
import { isId } from "./names.js";
import { placesOf } from "./processors.js";
import { findRecord, findStructField } from "./state-fields.js";
import type { Survey } from "./survey.js";

/** Names that machines give their main memory (QEMU hw/, default_ram_id; wire-format facts of the captures). */
const MAIN = new Set([
  "pc.ram",
  "microvm.ram",
  "mach-virt.ram",
  "riscv_virt_board.ram",
  "s390.ram",
  "ppc_spapr.ram",
  "ram",
]);

/** The block that only a machine with nvdimm=on has. */
const NVDIMM = "/rom@etc/acpi/nvdimm-mem";

/** Memory modules are of whole 2 MiB (QEMU hw/mem/memory-device.c; at least, on all targets). */
const MODULE = 2 << 20;

type Block = readonly [name: string, entry: { length: number }];

/** What memory is made of. */
interface MemoryArguments {
  arguments: string[];
  /** Memory modules, which take the first place that is free. */
  modules: string[];
  /** Properties of the machine. */
  machine: string[];
}

/** Blocks of memory backends, by what they are. */
interface Backends {
  /** Main memory, where it is not a block of the machine's own: one backend, or one for each NUMA node. */
  main: Block[];
  /** Of pc-dimm and nvdimm. */
  modules: Block[];
}

export function memoryArguments(survey: Survey, notes: string[]): MemoryArguments {
  const { blocks } = survey;
  const own = [...blocks].find(([name]) => MAIN.has(name));
  const { main, modules } = backendsOf(survey, own !== undefined, notes);
  const total = own?.[1].length ?? sum(main);
  if (total === 0) return { arguments: [], modules: [], machine: [] };
  const slots = placesOf(survey, "acpi_memory_hotplug")?.length ?? 0;
  const nvdimm = blocks.has(NVDIMM);
  const records = recordsBlock(survey);
  const objects = [...main, ...modules, ...(records === undefined ? [] : [records])].flatMap(([name, { length }]) => [
    "-object",
    backendFor(name, length),
  ]);
  const nodes = main.length > 1 ? main.flatMap(([name]) => ["-numa", `node,memdev=${idName(name)}`]) : [];
  if (main.length > 1)
    notes.push(
      `${list(main)}: main memory is made of NUMA nodes. Their order is not in the stream: the order of their names is used. In another order the guest finds its memory in other places`,
    );
  else if (main.length === 1) notes.push(`${list(main)}: main memory is a backend`);
  if (modules.length > 0)
    notes.push(
      `${list(modules)}: memory of backends other than main memory. The kind of memory device (pc-dimm, nvdimm), its address and its node are not in the stream`,
    );
  const device = deviceBackends(survey);
  const ivshmem = survey.devices.some(({ name }) => name.endsWith("/ivshmem-plain"));
  const end = memoryEnd(survey, total, modules, device, slots);
  if (end > 0)
    notes.push(
      `maxmem is not in the stream: ${sizeText(end)} is enough for what was plugged in; the source's is better`,
    );
  return {
    arguments: [
      "-m",
      `${sizeText(total)}${slots > 0 ? `,slots=${slots}` : ""}${end > 0 ? `,maxmem=${sizeText(end)}` : ""}`,
      ...objects,
      ...nodes,
      ...device.flatMap(([id, { length }]) => [
        "-object",
        `memory-backend-ram,id=${id},size=${sizeText(length)}${ivshmem ? ",share=on" : ""}`,
      ]),
    ],
    modules: modules.flatMap(([name]) => ["-device", `${nvdimm ? "nvdimm" : "pc-dimm"},memdev=${idName(name)}`]),
    machine: [
      ...(main.length === 1 ? [`memory-backend=${idName(main[0]![0])}`] : []),
      ...(nvdimm ? ["nvdimm=on"] : []),
    ],
  };
}

/** Where virtio-mem is, as its state up to 7.2 or its early section says. */
function memoryAddress(name: string, state: DeviceState): FieldValue | undefined {
  if (isEarlySection(name)) return findStructField(state, "addr");
  return name.endsWith("/virtio-mem") ? findRecord(state, "addr") : undefined;
}

/** Bytes of maxmem; 0 where nothing can be plugged in. Each module may be aligned to 1 GiB. */
function memoryEnd(
  survey: Survey,
  total: number,
  modules: readonly Block[],
  device: readonly Block[],
  slots: number,
): number {
  if (slots === 0 && device.length === 0) return 0;
  const GIB = 2 ** 30;
  const whole = (bytes: number): number => Math.ceil(bytes / GIB) * GIB;
  let room = Math.max(
    slots > 0 ? GIB : 0,
    [...modules, ...device].reduce((all, [, { length }]) => all + whole(length) + GIB, 0),
  );
  for (const { name, state } of survey.devices) {
    const address = state === undefined ? undefined : memoryAddress(name, state);
    // Memory devices are above main memory, which continues above 4 GiB.
    if (typeof address === "bigint" && address < 2n ** 46n)
      room = Math.max(room, room + whole(Number(address)) - 4 * GIB);
  }
  return whole(total) + room;
}

/**
 * Which of the backends main memory is made of. Where that is not a block of the machine's own, as many are modules as
 * places for memory are taken (`acpi_memory_hotplug.devs[].is_enabled`): those with "dimm" in their names first, then
 * the last ones.
 */
function backendsOf(survey: Survey, own: boolean, notes: string[]): Backends {
  const erst = recordsBlock(survey);
  const named = [...survey.blocks].filter(([name]) => !MAIN.has(name) && !isOfDevice(name) && name !== erst?.[0]);
  const strange = named.filter(([name]) => !isId(idName(name)));
  if (strange.length > 0)
    notes.push(`${list(strange)}: no QEMU gives a block such a name; it is left out of the arguments`);
  const backends = named.filter(([name]) => isId(idName(name))).toSorted(byName);
  if (own) return { main: [], modules: wholeModules(backends, notes) };
  const taken = (placesOf(survey, "acpi_memory_hotplug") ?? []).filter(
    (place) => isStructState(place) && place.fields["is_enabled"] === true,
  ).length;
  const order = [
    ...backends.filter(([name]) => !isModuleName(name)),
    ...backends.filter(([name]) => isModuleName(name)),
  ];
  const many = Math.max(1, order.length - taken);
  const told = toldMemory(survey);
  const whole = order.filter(([, { length }]) => length === told);
  // The length that the RTC's CMOS has decides, where the places do not.
  if (told !== undefined && sum(order.slice(0, many)) !== told && whole.length === 1)
    return { main: whole, modules: order.filter((one) => one !== whole[0]).toSorted(byName) };
  return { main: order.slice(0, many).toSorted(byName), modules: order.slice(many).toSorted(byName) };
}

/** Those that can be memory modules: others are memory of a device that is not known by its name. */
export function wholeModules<T extends Block>(backends: readonly T[], notes: string[]): T[] {
  const odd = backends.filter(([, { length }]) => length % MODULE !== 0);
  if (odd.length > 0)
    notes.push(
      `${list(odd)}: no memory module has such a length. The memory of a device, which one does not show: it is left out of the arguments`,
    );
  return backends.filter((one) => !odd.includes(one));
}

/** Bytes of main memory as the RTC's CMOS has them for the firmware. */
function toldMemory({ devices }: Survey): number | undefined {
  const state = devices.find(({ name }) => name === "mc146818rtc")?.state;
  const cmos = state === undefined ? undefined : findStructField(state, "cmos_data");
  const memory = cmos instanceof Uint8Array ? cmosMemory(cmos) : undefined;
  return memory === undefined ? undefined : memory.low + memory.high;
}

/** What acpi-erst keeps its records in: a backend that is too small for memory. */
export function recordsBlock({ blocks, devices }: Pick<Survey, "blocks" | "devices">): Block | undefined {
  if (!devices.some(({ name }) => name.endsWith("/acpi-erst"))) return undefined;
  return [...blocks].find(
    ([name, { length }]) => !MAIN.has(name) && !isOfDevice(name) && isId(name) && length % MODULE !== 0,
  );
}

function byName([a]: Block, [b]: Block): number {
  return byNumber(a, b);
}

/** Backends of virtio-mem and virtio-pmem: their blocks are named by the device's path and the backend's id. */
export function deviceBackends({ blocks, devices }: Survey): Block[] {
  const names = new Set(devices.map(({ name }) => name));
  return [...blocks].flatMap(([name, entry]): Block[] => {
    const [, path, id] = /^([0-9a-f:.]+)\/([^/]+)$/u.exec(name) ?? [];
    const memory = ["virtio-mem", "virtio-pmem", "ivshmem-plain"].some((kind) => names.has(`${path}/${kind}`));
    return id === undefined || !isId(id) || !memory ? [] : [[id, entry]];
  });
}

function sum(blocks: readonly Block[]): number {
  return blocks.reduce((all, [, { length }]) => all + length, 0);
}

/** `8M`, `64K`: as -m takes it. */
export function sizeText(bytes: number): string {
  for (const [unit, letter] of [
    [2 ** 30, "G"],
    [2 ** 20, "M"],
    [2 ** 10, "K"],
  ] as const) {
    if (bytes % unit === 0 && bytes > 0) return `${bytes / unit}${letter}`;
  }
  return `${bytes}B`;
}

/** A backend whose block has this name: /objects/ID is what file and memfd backends of machine types up to 3.1 have. */
export function backendFor(block: string, length: number): string {
  const size = `size=${sizeText(length)}`;
  const kind = block.startsWith("/objects/") ? "memory-backend-memfd" : "memory-backend-ram";
  return `${kind},id=${idName(block)},${size}`;
}

/** Machine types up to 3.1 name blocks of file and memfd backends /objects/ID. */
export function idName(block: string): string {
  return block.replace(/^\/objects\//u, "");
}

/** Whether a block belongs to firmware or a device, by its name. */
export function isOfDevice(name: string): boolean {
  return isDeviceBlock(name) || /^[0-9a-f]{4}:[0-9a-f]{2}:/u.test(name);
}

/** `"ram0" (1G), "ram1" (2G)`. */
export function list(blocks: readonly Block[]): string {
  return blocks.map(([name, { length }]) => `"${name}" (${sizeText(length)})`).join(", ");
}

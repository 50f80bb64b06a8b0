import { isDeviceBlock } from "../memory/main-memory.js";
import { RamFlag } from "../ram/index.js";
import { OF_PC } from "./device-table.js";
import { likelyDevices } from "./devices.js";
import type { Survey } from "./survey.js";
import { adviseTarget, mainMemory, type TargetAdvice } from "./targets/index.js";
import type { Destination } from "./types.js";

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

/** Blocks of this length are what QEMU's own firmware file gives (pc-bios/bios-256k.bin, pc machine types 2.0 on). */
const USUAL_BIOS = 256 * 1024;

/** What a destination of the file must look like: its arguments as far as the stream tells, and what it does not tell. */
export function destinationFor(survey: Survey): Destination {
  const { inspection, blocks, damage } = survey;
  const notes: string[] = [];
  const target = isPc(survey) ? undefined : adviseTarget(survey);
  if (target !== undefined) return destinationOf(survey, target);
  const machine = machineArguments(survey, notes);
  const memory = memoryArguments(survey, notes);
  const devices = likelyDevices(survey);
  const pc = isPc(survey);
  const listed = pc ? devices.likely : [];
  notes.push(...(pc ? devices.notes : []));
  if (!pc && survey.devices.some(({ name }) => !OF_PC.has(name))) {
    notes.push("devices of machines that are no PCs are not named as options: `qevm devices` lists their sections");
  }
  const bios = blocks.get("pc.bios");
  const firmware = bios === undefined || bios.length === USUAL_BIOS ? [] : ["-bios", "BIOS"];
  if (firmware.length > 0) notes.push(`block "pc.bios" is ${bios!.length} bytes: -bios needs a file of that length`);
  if (blocks.has("system.flash0")) {
    notes.push(
      `block "system.flash0": firmware in pflash, ${blocks.get("system.flash0")!.length} bytes; give the same -drive if=pflash`,
    );
  }
  const cpus = survey.devices.filter(({ name }) => name === "cpu").length;
  const smp = cpus > 1 ? ["-smp", `${cpus}`] : [];
  if (cpus > 0) notes.push("the CPU model (-cpu) and the accelerator are not in a stream: they must be the source's");
  if (listed.some(({ argument }) => argument.includes("drive=")))
    notes.push("disks are not in the stream: DRIVE0, ... stand for the source's own");
  if (survey.devices.length === 0 && inspection.sections.length > 0)
    notes.push("its devices are not known: none was read, or nothing describes them");
  else if (damage.length > 0 && survey.eof === undefined && inspection.sections.length > 0)
    notes.push("the stream was read up to its damage: what stands behind it is not listed");
  return {
    arguments: [
      ...machine,
      ...memory,
      ...smp,
      ...firmware,
      ...(pc && survey.devices.length > 0 ? ["-nodefaults"] : []),
      ...(listed.some(({ argument }) => argument.endsWith("netdev=net0")) ? ["-netdev", "user,id=net0"] : []),
      ...listed.flatMap(({ argument }) => ["-device", argument]),
    ],
    devices: listed,
    unnamed: pc ? devices.unnamed : [],
    capabilities: capabilitiesFor(survey),
    notes: [...notes, ...(inspection.capabilities.includes("x-ignore-shared") ? [SHARED] : [])],
  };
}

/** The destination of a machine that is not a PC. */
function destinationOf(survey: Survey, target: TargetAdvice): Destination {
  const { inspection, damage } = survey;
  const notes: string[] = [`program: ${target.program}`];
  const main = mainMemory(survey);
  const backends = new Map(
    [...survey.blocks].filter(([name]) => name !== main && !target.own(name) && !isOfDevice(name)),
  );
  const blocks = main === undefined ? backends : new Map<string, { length: number; offset: number | undefined }>();
  const [option, type, ...others] = machineArguments({ ...survey, blocks }, notes);
  const machine = option === undefined ? [] : [option, [type, ...target.machine].join(","), ...others];
  if (target.devices.some(({ argument }) => argument.includes("drive=")))
    notes.push("disks are not in the stream: DRIVE0, ... stand for the source's own");
  if (damage.length > 0 && survey.eof === undefined && inspection.sections.length > 0)
    notes.push("the stream was read up to its damage: what comes after it is not listed");
  return {
    arguments: [
      ...machine,
      ...targetMemory(survey, target, main, backends, notes),
      ...target.arguments,
      ...(target.nodefaults ? ["-nodefaults"] : []),
      ...(target.nodefaults && survey.devices.some(({ name }) => name === "slirp") ? ["-netdev", "user,id=net0"] : []),
      ...target.devices.flatMap(({ argument }) => ["-device", argument]),
    ],
    devices: target.devices,
    unnamed: target.unnamed,
    capabilities: capabilitiesFor(survey),
    notes: [...notes, ...target.notes, ...(inspection.capabilities.includes("x-ignore-shared") ? [SHARED] : [])],
  };
}

/** -m with slots, backends, and a pc-dimm for each backend beside main memory. */
function targetMemory(
  survey: Survey,
  { slots }: TargetAdvice,
  main: string | undefined,
  backends: Survey["blocks"],
  notes: string[],
): string[] {
  const sizes = [...backends.values()].reduce((sum, { length }) => sum + length, 0);
  const total = main === undefined ? sizes : survey.blocks.get(main)!.length;
  if (total === 0) return [];
  const objects = [...backends].flatMap(([name, { length }]) => ["-object", backendFor(name, length)]);
  const devices = deviceBackends(survey);
  const dimms = main === undefined ? [] : [...backends.keys()].map((name) => `pc-dimm,memdev=${idName(name)}`);
  if (main === undefined && backends.size > 1)
    notes.push(`${list([...backends])}: memory of NUMA nodes (-numa node,memdev=ID); their order is not in the stream`);
  if (dimms.length > 0) {
    notes.push(
      `${list([...backends])}: memory of devices, whose kind (pc-dimm, nvdimm with -machine nvdimm=on) and address do not show`,
    );
  }
  const most = Math.max(slots, dimms.length);
  const room = sizeText((Math.ceil((total + sizes) / 2 ** 30) + 4 * Math.max(most, 1)) * 2 ** 30);
  const growing = most > 0 || devices.length > 0 ? `,slots=${most},maxmem=${room}` : "";
  return ["-m", `${sizeText(total)}${growing}`, ...objects, ...devices, ...dimms.flatMap((dimm) => ["-device", dimm])];
}

const SHARED =
  "x-ignore-shared: shared memory is not in the stream; the destination must be given the very file or memory that the source had";

function isPc({ inspection, devices }: Survey): boolean {
  const { machine } = inspection;
  if (machine !== null) return /^(?:pc-|isapc|microvm|xenfv)/u.test(machine);
  return devices.some(({ name }) => name.endsWith("/I440FX") || name.endsWith("/mch"));
}

function machineArguments({ inspection, configuration, devices, first, blocks }: Survey, notes: string[]): string[] {
  const found: string[] = [];
  const backend = mainBackend(blocks);
  const property = backend === undefined ? "" : `,memory-backend=${idName(backend)}`;
  if (configuration !== undefined) found.push("-machine", configuration.value.machine + property);
  else if (inspection.sections.length > 0) {
    found.push("-machine", `TYPE${property}`);
    const family = devices.some(({ name }) => name.endsWith("/I440FX"))
      ? ": it is one of pc-i440fx"
      : devices.some(({ name }) => name.endsWith("/mch"))
        ? ": it is one of pc-q35"
        : "";
    if (inspection.footers === false) {
      notes.push(
        `TYPE stands for the machine type, which is not in the stream${family}. There is neither a configuration section nor a footer: machine types up to 2.3 write so, and expect it so. A later type needs -global migration.send-configuration=off and -global migration.send-section-footer=off`,
      );
    } else {
      notes.push(`TYPE stands for the machine type, which is not in the stream${family}`);
      found.push("-global", "migration.send-configuration=off");
    }
  }
  if (inspection.footers === false && configuration !== undefined) {
    found.push("-global", "migration.send-section-footer=off");
    notes.push("sections have no footers");
  }
  for (const one of configuration?.value.subsections ?? []) {
    if (one.name === "configuration/uuid") found.push("-uuid", uuidText(one.uuid));
  }
  if (first.has(RamFlag.HOOK)) notes.push("records of RDMA (HOOK): only an RDMA destination reads them");
  return found;
}

export function uuidText(bytes: Uint8Array): string {
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/u, "$1-$2-$3-$4-$5");
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

/** Backends of virtio-mem and virtio-pmem: their blocks are named by the device's path and the backend's id. */
function deviceBackends({ blocks, devices }: Survey): string[] {
  return [...blocks].flatMap(([name, { length }]) => {
    const [, path, id] = /^([0-9a-f:.]+)\/([^/]+)$/u.exec(name) ?? [];
    const memory = devices.some((one) => one.name === `${path}/virtio-mem` || one.name === `${path}/virtio-pmem`);
    return id === undefined || !memory ? [] : ["-object", `memory-backend-ram,id=${id},size=${sizeText(length)}`];
  });
}

function memoryArguments(survey: Survey, notes: string[]): string[] {
  const { blocks } = survey;
  const main = [...blocks].find(([name]) => MAIN.has(name));
  const backends = [...blocks].filter(([name]) => !MAIN.has(name) && !isOfDevice(name));
  const total = main?.[1].length ?? backends.reduce((sum, [, { length }]) => sum + length, 0);
  if (total === 0) return [];
  const objects = backends.flatMap(([name, { length }]) => ["-object", backendFor(name, length)]);
  if (main !== undefined && backends.length > 0) {
    notes.push(
      `${list(backends)}: memory of backends beside "${main[0]}". They belong to memory devices (pc-dimm, nvdimm, ...), whose kind is not in the stream: -m needs slots= and maxmem=, and each a -device pc-dimm,memdev=ID or the like`,
    );
  } else if (main === undefined && backends.length === 1) {
    notes.push(`${list(backends)}: main memory is a backend: -machine TYPE,memory-backend=${idName(backends[0]![0])}`);
  } else if (main === undefined && backends.length > 1) {
    notes.push(
      `${list(backends)}: memory of backends. Main memory is made of NUMA nodes (-numa node,memdev=ID); their order is not in the stream`,
    );
  }
  return ["-m", sizeText(total), ...objects, ...deviceBackends(survey)];
}

/** The block that main memory is, where the machine has no name of its own for it and only one backend is there. */
function mainBackend(blocks: Survey["blocks"]): string | undefined {
  const names = [...blocks.keys()];
  const backends = names.filter((name) => !MAIN.has(name) && !isOfDevice(name));
  return names.some((name) => MAIN.has(name)) || backends.length !== 1 ? undefined : backends[0];
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

function list(blocks: readonly (readonly [string, { length: number }])[]): string {
  return blocks.map(([name, { length }]) => `"${name}" (${sizeText(length)})`).join(", ");
}

/** Capabilities that the destination must have on to load it. XBZRLE needs none there (QEMU migration/ram.c load_xbzrle, 5.2 to 11.1). */
function capabilitiesFor({ inspection, configuration }: Survey): string[] {
  const { evident } = inspection;
  const needed = [...inspection.capabilities];
  for (const name of ["compress", "multifd", "postcopy-ram", "postcopy-preempt", "dirty-bitmaps"]) {
    if (evident.includes(name) && !needed.includes(name)) needed.push(name);
  }
  if (configuration?.value.subsections.some(({ name }) => name === "configuration/uuid")) needed.push("validate-uuid");
  return needed;
}

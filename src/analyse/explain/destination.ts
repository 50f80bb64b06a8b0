import { hexOf } from "../../bytes/text.js";
import type { Domain } from "../../io/container/libvirt/domain.js";
import { RamFlag } from "../../codec/ram/index.js";
import { networkArguments, soundArguments } from "./device-places.js";
import { OF_PC } from "./device-table.js";
import { likelyDevices } from "./devices.js";
import { diskArguments } from "./disks.js";
import { cpuArguments, domainDisks, flashNotes } from "./domain.js";
import {
  backendFor,
  deviceBackends,
  idName,
  isOfDevice,
  list,
  memoryArguments,
  sizeText,
  wholeModules,
} from "./memory-arguments.js";
import { isCapabilityName, isId, isMachineName } from "./names.js";
import { firmwareArguments, hotplugArguments, pcOptions } from "./pc-options.js";
import { processorArguments } from "./processors.js";
import type { Survey } from "./survey.js";
import { adviseTarget, mainMemory, type TargetAdvice } from "./targets/index.js";
import type { Destination } from "./types.js";

/**
 * What a destination of the file must look like: its arguments, inferred from the stream, and what cannot be inferred.
 * @param domain what the domain XML says of a save image that the stream was in
 */
export function destinationFor(survey: Survey, domain?: Domain): Destination {
  const { inspection, damage } = survey;
  const notes: string[] = [];
  const target = isPc(survey) ? undefined : adviseTarget(survey);
  if (target !== undefined) return destinationOf(survey, target, domain);
  const pc = isPc(survey);
  const memory = memoryArguments(survey, notes);
  const machine = machineArguments(survey, [...memory.machine, ...(pc ? pcOptions(survey) : [])], notes);
  const devices = likelyDevices(survey);
  const ide = survey.devices.some(({ name }) => /\/(?:ide|ich9_ahci)$/u.test(name));
  const disks = diskArguments(survey, pc ? devices.likely : [], ide, notes);
  const known = domain && domainDisks(disks.devices, domain, { pc, ide, q35: hasDevice(survey, "0000:00:00.0/mch") });
  const listed = known?.devices ?? disks.devices;
  notes.push(...(pc ? devices.notes : []), ...(known?.notes ?? []));
  if (!pc && survey.devices.some(({ name }) => !OF_PC.has(name))) {
    notes.push("devices of machines that are not PCs are not named as options: `qevm devices` lists their sections");
  }
  const firmware = firmwareArguments(survey, notes);
  if (domain !== undefined) notes.push(...flashNotes(firmware, domain));
  const smp = processorArguments(survey, notes);
  const cpu = domain === undefined ? [] : cpuArguments(domain, notes);
  if (domain?.cpu === undefined && hasDevice(survey, "cpu"))
    notes.push(
      domain === undefined
        ? "the CPU model (-cpu) and the accelerator are not in a stream: they must be the source's"
        : "the CPU model (-cpu) is neither in the stream nor in the domain XML: it must be the source's",
    );
  if ([...survey.blocks.keys()].some((name) => /^synic-\d/u.test(name)))
    notes.push(
      "synic-...: the CPUs have Hyper-V's interrupt controller: -accel kvm -cpu MODEL,hv-vpindex=on,hv-synic=on",
    );
  if (listed.some(({ argument }) => isOpen(argument, known?.arguments)))
    notes.push("disks are not in the stream: DRIVE0, ... stand for the source's own");
  if (listed.some(({ argument }) => argument.includes("tpmdev=TPMDEV")))
    notes.push(
      "TPMDEV0 stands for the TPM: -chardev socket,id=tpm,path=SWTPM -tpmdev emulator,id=TPMDEV0,chardev=tpm; SWTPM is the socket of a running swtpm with an empty state folder",
    );
  if (listed.some(({ argument }) => argument.includes("serial=SERIAL")))
    notes.push("the serial number of an NVMe controller is not in the stream: SERIAL stands for the source's");
  if (pc && listed.length > 0 && ide && domain === undefined)
    notes.push("IDE and SATA disks are not visible in the stream: attach those of the source");
  // What has an address must be there before modules, which take the first that is free.
  const settled = listed.some(({ argument }) => argument.includes(",memaddr="));
  if (survey.devices.length === 0 && inspection.sections.length > 0)
    notes.push("its devices are not known: none was read, or nothing describes them");
  else if (damage.length > 0 && survey.eof === undefined && inspection.sections.length > 0)
    notes.push("the stream was read up to its damage: devices after it are not listed");
  return {
    arguments: [
      ...machine,
      ...cpu,
      ...(pc ? hotplugArguments(survey) : []),
      ...memory.arguments,
      ...(settled ? [] : memory.modules),
      ...smp,
      ...firmware,
      ...(pc && survey.devices.length > 0 ? ["-nodefaults"] : []),
      ...devices.backends,
      ...soundArguments(survey, listed),
      ...disks.arguments,
      ...listed.flatMap(({ argument }) => ["-device", argument]),
      ...(settled ? memory.modules : []),
    ],
    diskArguments: known?.arguments ?? [],
    devices: listed,
    unnamed: pc ? devices.unnamed : [],
    capabilities: capabilitiesFor(survey).filter(isCapabilityName),
    notes: [...notes, ...(inspection.capabilities.includes("x-ignore-shared") ? [SHARED] : [])],
  };
}

/** The destination of a machine that is not a PC. */
function destinationOf(survey: Survey, target: TargetAdvice, domain: Domain | undefined): Destination {
  const { inspection, damage } = survey;
  const notes: string[] = [`program: ${target.program}`];
  const main = mainMemory(survey);
  const named = [...survey.blocks].filter(([name]) => name !== main && !target.own(name) && !isOfDevice(name));
  const valid = named.filter(([name]) => isId(idName(name)));
  const backends = new Map(main === undefined ? valid : wholeModules(valid, notes));
  if (valid.length < named.length)
    notes.push("some blocks have names that no QEMU gives: they are left out of the arguments");
  const backend =
    main === undefined && backends.size === 1 ? [`memory-backend=${idName([...backends.keys()][0]!)}`] : [];
  const options = [...backend, ...target.machine.filter((option) => /^[a-z0-9-]+=[\w.-]*$/iu.test(option))];
  const machine = machineArguments(survey, options, notes);
  const disks = diskArguments(survey, target.devices, false, notes);
  const known = domain && domainDisks(disks.devices, domain, { pc: false, ide: false, q35: false });
  const devices = known?.devices ?? disks.devices;
  notes.push(...(known?.notes ?? []));
  const cpu = domain === undefined || target.arguments.includes("-cpu") ? [] : cpuArguments(domain, notes);
  if (devices.some(({ argument }) => isOpen(argument, known?.arguments)))
    notes.push("disks are not in the stream: DRIVE0, ... stand for the source's own");
  if (damage.length > 0 && survey.eof === undefined && inspection.sections.length > 0)
    notes.push("the stream was read up to its damage: devices after it are not listed");
  return {
    arguments: [
      ...machine,
      ...cpu,
      ...targetMemory(survey, target, main, backends, notes),
      ...target.arguments,
      ...(target.nodefaults ? ["-nodefaults"] : []),
      ...(target.nodefaults ? networkArguments(survey) : []),
      ...soundArguments(survey, devices),
      ...disks.arguments,
      ...devices.flatMap(({ argument }) => ["-device", argument]),
    ],
    diskArguments: known?.arguments ?? [],
    devices,
    unnamed: target.unnamed,
    capabilities: capabilitiesFor(survey).filter(isCapabilityName),
    notes: [...notes, ...target.notes, ...(inspection.capabilities.includes("x-ignore-shared") ? [SHARED] : [])],
  };
}

function hasDevice({ devices }: Survey, wanted: string): boolean {
  return devices.some(({ name }) => name === wanted);
}

/** Whether the device's drive is a placeholder. */
function isOpen(argument: string, drives: readonly string[] = []): boolean {
  const [, id] = /\bdrive=(DRIVE\d+)\b/u.exec(argument) ?? [];
  return id !== undefined && !drives.some((drive) => drive.startsWith(`if=none,id=${id},`));
}

/** -m with slots, backends, and a pc-dimm for each backend other than main memory. */
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
  const devices = deviceBackends(survey).flatMap(([id, { length }]) => [
    "-object",
    `memory-backend-ram,id=${id},size=${sizeText(length)}`,
  ]);
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
  "x-ignore-shared: shared memory is not in the stream; the destination needs the same file or memory that the source had";

function isPc({ inspection, devices }: Survey): boolean {
  const { machine } = inspection;
  if (machine !== null) return /^(?:pc-|isapc|microvm|xenfv)/u.test(machine);
  return devices.some(({ name }) => name.endsWith("/I440FX") || name.endsWith("/mch"));
}

function machineArguments(
  { inspection, configuration, devices, first }: Survey,
  options: readonly string[],
  notes: string[],
): string[] {
  const found: string[] = [];
  const property = options.map((one) => `,${one}`).join("");
  const named = configuration?.value.machine;
  if (named !== undefined && isMachineName(named)) found.push("-machine", named + property);
  else if (named !== undefined) {
    found.push("-machine", `TYPE${property}`);
    notes.push(
      `the stream's machine type, ${JSON.stringify(named)}, is not a machine name of any QEMU: it is not put into a command line, and TYPE stands for the source's`,
    );
  } else if (inspection.sections.length > 0) {
    found.push("-machine", `TYPE${property}`);
    const family = devices.some(({ name }) => name.endsWith("/I440FX"))
      ? ": it is one of pc-i440fx"
      : devices.some(({ name }) => name.endsWith("/mch"))
        ? ": it is one of pc-q35"
        : "";
    if (inspection.footers === false) {
      notes.push(
        `TYPE stands for the machine type, which is not in the stream${family}. There is neither a configuration section nor a footer: machine types up to 2.3 write such streams; a later one reads them with the two -global options`,
      );
      found.push("-global", "migration.send-configuration=off", "-global", "migration.send-section-footer=off");
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
  return hexOf(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/u, "$1-$2-$3-$4-$5");
}

/**
 * Capabilities that the destination must have on to load it. XBZRLE needs none there (QEMU migration/ram.c load_xbzrle,
 * 5.2 to 11.1).
 */
function capabilitiesFor({ inspection, configuration }: Survey): string[] {
  const { evident } = inspection;
  const needed = [...inspection.capabilities];
  for (const name of ["compress", "multifd", "postcopy-ram", "postcopy-preempt", "dirty-bitmaps"]) {
    if (evident.includes(name) && !needed.includes(name)) needed.push(name);
  }
  if (configuration?.value.subsections.some(({ name }) => name === "configuration/uuid")) needed.push("validate-uuid");
  return needed;
}

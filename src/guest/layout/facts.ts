import { QemuFileWriter } from "../../bytes/writer.js";
import { MemorySink } from "../../bytes/source.js";
import type { StreamItem } from "../../codec/stream/index.js";
import { deviceToPlain, encodeDevice, type DeviceState } from "../../codec/vmstate/index.js";
import { isLinear } from "./cirrus.js";
import type { CoreCpu } from "../cores/core-note.js";
import { otherCpu } from "../cores/core-other.js";
import { cpuRegisters, type CpuRegisters } from "../cores/cpu.js";
import { CpuFields } from "../cores/cpu-fields.js";
import { cpuStateOf, type CpuState } from "../cores/cpu-state.js";
import { virtioMemAddress } from "./hotplugged.js";
import { pciConfig } from "./pci.js";
import { numaNodes } from "./srat.js";
import { hasNoPath, vgaRegisters } from "./vga-registers.js";
import type { VgaRegisters } from "../layout-types.js";
import { vmcoreinfoPlace, type NotePlace } from "../cores/vmcoreinfo-place.js";

/** Facts from device state about guest-physical memory and the CPUs. */
export interface DeviceFacts {
  cpus: CpuRegisters[];
  /** CPUs that are not x86. */
  otherCpus: CoreCpu[];
  /** All fields of the CPUs; undefined where nobody wants them. */
  states?: CpuState[];
  /** The task priorities in the "apic" sections, in the order of the stream, which is that of the CPUs. */
  taskPriorities: number[];
  /** pseries: the process table that the guest registered. */
  processTable?: bigint;
  /** The host bridge's PAM registers, 7 bytes. */
  pam?: Uint8Array;
  /** The RTC's 128 bytes of CMOS memory. */
  cmos?: Uint8Array;
  /** The host bridge's SMRAM register. */
  smram?: number;
  /** Configuration of the PCI devices, by path. */
  pci: Map<string, Uint8Array>;
  vga?: VgaRegisters;
  /**
   * The section of a display adapter without a PCI path: "vga" for VMware's or an ISA adapter, "vga-isa" or
   * "cirrus_vga" for an ISA one.
   */
  vgaSection?: string;
  /** Paths of Cirrus adapters whose memory is visible at their BAR. */
  cirrus: Set<string>;
  /** Size of each NUMA node in bytes, from the ACPI tables. */
  nodes?: readonly number[];
  /** Addresses of virtio-mem devices, by device path. */
  virtioMem: Map<string, number>;
  /** Address of the guest's VMCOREINFO note, as set by the guest. */
  vmcoreinfo?: NotePlace;
}

/** Empty facts. */
export function noFacts(): DeviceFacts {
  return { cpus: [], otherCpus: [], taskPriorities: [], pci: new Map(), cirrus: new Set(), virtioMem: new Map() };
}

/** The CPUs with what their APICs say of them; without it where some CPU has no APIC. */
export function statesOf({ states = [], taskPriorities }: DeviceFacts): CpuState[] {
  if (states.length !== taskPriorities.length) return states;
  return states.map((cpu, k) => ({ ...cpu, device: { ...cpu.device, taskPriority: taskPriorities[k]! } }));
}

/** Extracts facts from the ACPI tables (`ACPI_TABLES`). */
export function noteTables(tables: Uint8Array, facts: DeviceFacts): void {
  const nodes = numaNodes(tables);
  if (nodes !== undefined) facts.nodes = nodes;
}

/** Extracts facts for the layout and a core's notes from one item of a stream. */
export function noteFacts(item: StreamItem, facts: DeviceFacts): void {
  if (item.kind !== "section" || item.content.kind !== "device") return;
  const { idstr } = item;
  const { state } = item.content;
  if (idstr === "cpu") {
    const registers = cpuRegisters(state);
    const other = registers === undefined ? otherCpu(state) : undefined;
    if (registers !== undefined) facts.cpus.push(registers);
    if (other !== undefined) facts.otherCpus.push(other);
    const cpu = facts.states === undefined ? undefined : cpuStateOf(item.instanceId, state);
    if (cpu !== undefined) facts.states?.push(cpu);
  } else if (idstr === "apic") {
    if (facts.states !== undefined) {
      facts.taskPriorities.push(Number(new CpuFields(deviceToPlain(state)).number("tpr")));
    }
  } else if (idstr === "spapr") {
    const table = new CpuFields(deviceToPlain(state)).number("patb_entry", "spapr_patb_entry");
    if (table !== 0n) facts.processTable = table;
  } else if (/(?:^|\/)mc146818rtc$/u.test(idstr)) {
    facts.cmos = payload(state).slice(0, 128);
  } else if (idstr === "vmcoreinfo") {
    const place = vmcoreinfoPlace(state);
    if (place !== undefined) facts.vmcoreinfo = place;
  } else if (hasNoPath(idstr)) {
    facts.vgaSection = idstr;
    const vga = vgaRegisters(idstr, state);
    if (vga !== undefined) facts.vga = vga;
  } else if (/[/.]|I440FX$|mch$/u.test(idstr)) {
    const memory = virtioMemAddress(idstr, state);
    if (memory !== undefined) facts.virtioMem.set(memory.path, memory.address);
    notePci(idstr, state, facts);
  }
}

/** PAM and SMRAM registers of the host bridges: i440fx 0x59 and 0x72, q35 0x90 and 0x9d. */
function notePci(idstr: string, state: DeviceState, facts: DeviceFacts): void {
  const bytes = payload(state);
  const bridge = /(?:^|\/)(I440FX|mch)$/u.exec(idstr)?.[1];
  if (bridge !== undefined) {
    const [pam, smram] = bridge === "mch" ? [0x90, 0x9d] : [0x59, 0x72];
    // be32 version, then 256 bytes of PCI configuration.
    facts.pam = bytes.slice(4 + pam, 4 + pam + 7);
    facts.smram = bytes[4 + smram] ?? 0;
  }
  const device = pciConfig(idstr, bytes);
  if (device !== undefined && !facts.pci.has(device.path)) facts.pci.set(device.path, device.config);
  // Class 0x0300: an adapter that decodes the VGA addresses; other displays do not.
  const config = facts.pci.get(idstr.slice(0, idstr.lastIndexOf("/")));
  if (config?.[11] !== 3 || config[10] !== 0) return;
  const vga = vgaRegisters(idstr, state);
  if (vga?.cirrus === true && isLinear(vga)) facts.cirrus.add(vga.path);
  if (vga !== undefined) facts.vga ??= vga;
}

function payload(state: DeviceState): Uint8Array {
  const sink = new MemorySink();
  const writer = new QemuFileWriter(sink);
  encodeDevice(writer, state);
  void writer.flush();
  return sink.bytes();
}

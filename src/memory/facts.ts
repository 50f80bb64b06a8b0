import { QemuFileWriter } from "../qemu-file/writer.js";
import { MemorySink } from "../qemu-file/source.js";
import type { StreamItem } from "../stream/index.js";
import { encodeDevice, type DeviceState } from "../vmstate/index.js";
import { cpuRegisters, type CpuRegisters } from "./cpu.js";
import { vmcoreinfoPlace, type NotePlace } from "./vmcoreinfo.js";

/** What the device state says about guest-physical memory and the CPUs. */
export interface DeviceFacts {
  cpus: CpuRegisters[];
  /** The host bridge's PAM registers, 7 bytes. */
  pam?: Uint8Array;
  /** The RTC's 128 bytes of CMOS memory. */
  cmos?: Uint8Array;
  /** Where the guest says that its VMCOREINFO note lies. */
  vmcoreinfo?: NotePlace;
}

/** Takes from one part of a stream what the layout and a core's notes need. */
export function noteFacts(item: StreamItem, facts: DeviceFacts): void {
  if (item.kind !== "section" || item.content.kind !== "device") return;
  const { state } = item.content;
  if (item.idstr === "cpu") {
    const registers = cpuRegisters(state);
    if (registers !== undefined) facts.cpus.push(registers);
  } else if (/(?:^|\/)I440FX$/u.test(item.idstr)) {
    // be32 version, then 256 bytes of PCI configuration.
    facts.pam = payload(state).slice(4 + 0x59, 4 + 0x60);
  } else if (/(?:^|\/)mch$/u.test(item.idstr)) {
    facts.pam = payload(state).slice(4 + 0x90, 4 + 0x97);
  } else if (/(?:^|\/)mc146818rtc$/u.test(item.idstr)) {
    facts.cmos = payload(state).slice(0, 128);
  } else if (item.idstr === "vmcoreinfo") {
    const place = vmcoreinfoPlace(state);
    if (place !== undefined) facts.vmcoreinfo = place;
  }
}

function payload(state: DeviceState): Uint8Array {
  const sink = new MemorySink();
  const writer = new QemuFileWriter(sink);
  encodeDevice(writer, state);
  void writer.flush();
  return sink.bytes();
}

/**
 * Options that create a section which does not belong to a -device. Source: QEMU hw/i386, hw/acpi, net/slirp.c,
 * migration/ (7.2).
 */
import type { Context } from "../context.js";
import type { Remedy } from "../types.js";
import { machineWord } from "../names.js";
import { processorArguments } from "../processors.js";

type Section = Context["survey"]["inspection"]["sections"][number];

const HINTS: Readonly<Record<string, (section: Section, context: Context) => Remedy>> = {
  slirp: () => ({
    what: "the source had a user network: give the destination one",
    arguments: ["-netdev", "user,id=net0"],
  }),
  kvmclock: () => ({
    what: "the source ran under KVM, and this is KVM's clock: the destination must run under KVM",
    arguments: ["-accel", "kvm"],
  }),
  cpu: cpus,
  apic: cpus,
  cpu_common: cpus,
  hpet: (_, { survey }) => machine("hpet=on", survey),
  vmmouse: (_, { survey }) => machine("vmport=on", survey),
  i8254: (_, { survey }) => machine("pit=on", survey),
  block: () => ({
    what: "the stream carries disks (block migration): QEMU 9.1 and later have no such section, use one up to 9.0",
  }),
  "dirty-bitmap": () => ({
    what: "the stream carries dirty bitmaps (2.12 on): set the capability on the destination",
    monitor: ["migrate_set_capability dirty-bitmaps on"],
  }),
};

function cpus(_: Section, { survey }: Context): Remedy {
  const n = survey.devices.filter(({ name }) => name === "cpu").length;
  const args = processorArguments(survey, []);
  return {
    what: `the guest has ${n === 1 ? "one CPU" : `${n} CPUs`}`,
    arguments: args.length > 0 ? args : ["-smp", `${n}`],
  };
}

function machine(property: string, { inspection }: Context["survey"]): Remedy {
  return {
    what: "a property of the machine type",
    arguments: ["-machine", `${machineWord(inspection.machine)},${property}`],
  };
}

export function sectionHint(section: Section, context: Context): Remedy[] {
  const hint = HINTS[section.section];
  return hint === undefined ? [] : [hint(section, context)];
}

/**
 * Device sets in one machine, many at a time: what a group comes to, each of its sets does, so only groups in which
 * something is not loaded are taken apart.
 */
import { spawnSync } from "node:child_process";
import { deviceJobs } from "../capture/device-sets.js";
import type { QemuBinary } from "../qemu/find.js";
import { wordsOf } from "./cells.js";

/** Devices that are tried together, each after those that it needs: `virtio-scsi-pci scsi-hd,drive=disk0`. */
export type DeviceSetText = string;

/** Those sets of the capture tool whose devices all of the QEMUs have. */
export function setsOf(qemus: readonly QemuBinary[]): { all: DeviceSetText[]; missing: DeviceSetText[] } {
  const known = qemus.map((qemu) => devicesOf(qemu));
  const names = deviceJobs().map(({ name }) => name);
  const isKnown = (set: DeviceSetText): boolean =>
    set.split(" ").every((device) => known.every((has) => has.has(typeOf(device))));
  return { all: names.filter((set) => isKnown(set)), missing: names.filter((set) => !isKnown(set)) };
}

function typeOf(device: string): string {
  return device.replace(/,.*/u, "");
}

function devicesOf({ command: [file = "", ...lead] }: QemuBinary): ReadonlySet<string> {
  const { stdout } = spawnSync(file, [...lead, "-device", "help"], { encoding: "utf8" });
  return new Set([...stdout.matchAll(/^name "([^"]+)"/gmu)].map(([, name = ""]) => name));
}

/** Of these there can be one in a machine: the display adapter at the old addresses, an IOMMU. */
const SINGLE: readonly RegExp[] = [
  /vga|VGA|vmware|ramfb/u,
  /iommu/u,
  /ipmi/u,
  /vmgenid|vmcoreinfo|acpi-erst|vmclock/u,
  /isa-(?:ide|fdc)|sb16|gus|adlib|cs4231a/u,
  /smbus|at24c|tmp105|ds1338|i2c/u,
  /floppy|ide-cf/u,
  /virtserialport/u,
];

/** Buses of their own, on which devices that come after them would be: each is in a machine alone. */
const BUS = /pxb|bridge|upstream|downstream|root-port|ioh3420|cxl/u;

/** Groups of at most so many sets, none with two of a kind of which a machine has one. */
export function groupsOf(sets: readonly DeviceSetText[], most: number): DeviceSetText[][] {
  const groups: DeviceSetText[][] = [];
  const kinds = (set: DeviceSetText): number[] => SINGLE.flatMap((kind, i) => (kind.test(set) ? [i] : []));
  for (const set of sets) {
    const own = kinds(set);
    const room = groups.find((group) => {
      if (BUS.test(set) || BUS.test(group[0]!)) return false;
      const taken = new Set(group.flatMap((one) => kinds(one)));
      return group.length < most && !own.some((kind) => taken.has(kind)) && !group.includes(set);
    });
    if (room === undefined) groups.push([set]);
    else room.push(set);
  }
  return groups;
}

/** What a device may name, and what makes it. */
const BACKENDS: Readonly<Record<string, (id: string) => string>> = {
  disk0: (id) => `-blockdev driver=null-co,node-name=${id},size=1048576,read-zeroes=on`,
  m8: (id) => `-object memory-backend-ram,id=${id},size=8M,share=on`,
  m64k: (id) => `-object memory-backend-ram,id=${id},size=64K`,
  c0: (id) => `-chardev null,id=${id}`,
  c1: (id) => `-chardev null,id=${id}`,
  fs0: (id) => `-fsdev synth,id=${id}`,
  cry: (id) => `-object cryptodev-backend-builtin,id=${id}`,
};
const NAMED = /(?<=,(?:id|bus|drive|memdev|chardev[12]?|cryptodev|fsdev|bmc|subsys)=)[A-Za-z]\w*/gu;

/** The arguments of a machine with all devices of a group, each set with backends of its own. */
export function groupArguments(group: readonly DeviceSetText[]): string[] {
  const args = wordsOf("-m 32,slots=8,maxmem=1G -nodefaults -vga none -audiodev none,id=a0 -object can-bus,id=can0");
  for (const [i, set] of group.entries()) {
    for (const device of set.split(" ")) {
      for (const [name] of device.matchAll(NAMED)) {
        const backend = wordsOf(BACKENDS[name]?.(`g${i}${name}`) ?? "");
        if (!args.includes(backend[1] ?? "")) args.push(...backend);
      }
      args.push("-device", withOwnNames(device, i));
    }
  }
  return args;
}

/** A device with the backends of its set; vmgenid would write another value into the guest's memory at each load. */
function withOwnNames(device: string, i: number): string {
  const named = device.replaceAll(NAMED, (name) => `g${i}${name}`);
  return named === "vmgenid" ? `${named},guid=324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87` : named;
}

/** Those of a group that a QEMU says something of when it does not start or does not save: `-device nvme,...:`. */
export function blamed(group: readonly DeviceSetText[], said: string): { sets: DeviceSetText[]; final: boolean } {
  const blocked = /non-migratable device '(?:[^']*\/)?([\w-]+)'/u.exec(said)?.[1];
  if (blocked !== undefined) {
    return { sets: group.filter((set) => set.split(" ").some((device) => typeOf(device) === blocked)), final: true };
  }
  const device = /-device ([\w.-]+)(?:,\S*)?:/u.exec(said);
  if (device === null) return { sets: [], final: false };
  const [whole, type] = device;
  const sets = group.filter((set, i) => set.split(" ").some((one) => `-device ${withOwnNames(one, i)}:` === whole));
  const ofType = group.filter((set) => set.split(" ").some((one) => typeOf(one) === type));
  return { sets: sets.length > 0 ? sets : ofType, final: false };
}

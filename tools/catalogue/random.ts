/**
 * Guests that nobody chose: machine type, CPU, devices and their properties by a seed, from what the QEMU itself lists.
 * Streams of a new seed are streams that the catalogue has not seen.
 */
import { spawnSync } from "node:child_process";
import { Random } from "../../src/analyse/fuzz/random.js";
import { emptyDisks, words } from "../capture/entries/parts.js";
import type { QemuBinary } from "../qemu/find.js";
import { QemuProcess } from "../qemu/process.js";

/** A device with its properties. */
interface RandomDevice {
  readonly driver: string;
  /** `drive=disk0`: it does not start without them. */
  readonly needs: readonly string[];
  /** `packed=on`. */
  more: string[];
}

/** A guest: its parts, some of which may have to be left out. */
interface RandomGuest {
  readonly machine: string;
  machineOptions: string[];
  readonly memory: number;
  /** Room for more memory. */
  slots: string;
  smp: string;
  /** A model with its features. */
  cpu: string[];
  readonly bare: boolean;
  devices: RandomDevice[];
  /** Milliseconds that it runs; 0: it is not started. */
  readonly runs: number;
}

/** What a QEMU has to choose from. */
interface Offer {
  readonly machines: readonly string[];
  readonly cpus: readonly string[];
  readonly devices: ReadonlyMap<string, string>;
  readonly properties: (driver: string) => Promise<readonly Property[]>;
  readonly close: () => Promise<void>;
}

interface Property {
  readonly name: string;
  readonly type: string;
  readonly "default-value"?: unknown;
}

/** Controllers for devices of a bus that the machine may not have. */
const CONTROLLERS: Readonly<Record<string, readonly string[]>> = {
  "usb-bus": ["qemu-xhci", "nec-usb-xhci", "piix3-usb-uhci", "usb-ehci", "pci-ohci", "piix4-usb-uhci"],
  SCSI: [
    "lsi53c895a",
    "lsi53c810",
    "megasas",
    "megasas-gen2",
    "mptsas1068",
    "am53c974",
    "dc390",
    "pvscsi",
    "virtio-scsi-pci",
  ],
  HDA: ["intel-hda", "ich9-intel-hda"],
  "virtio-serial-bus": ["virtio-serial-pci"],
  IndustryPack: ["tpci200"],
  "sd-bus": ["sdhci-pci"],
  IDE: ["ich9-ahci"],
};

/** Devices of no use here: those of the host, of a peer process, and parts of machines. */
const LEFT_OUT =
  /^(?:vhost|vfio|usb-host|usb-mtp|u2f|scsi-block|scsi-generic|.*-cpu$|loader|guest-loader|ccid-card|tpm|xen|ivshmem-doorbell|sgx|nitro|ioapic|pc-testdev|isa-debug-exit|x-|virtio-input-host|hv-syndbg|igd-|rtas|spapr-(?:cpu|phb|pci-vfio)|cxl-(?:upstream|downstream|switch))/u;
/** Properties that only move a device, or that a guest cannot have by chance. */
const FIXED =
  /^(?:addr|multifunction|rom.*|failover.*|acpi-index|realized|hotplugg.*|id|parent_bus|serial|mac|bootindex|share-rw|sriov-.*|x-disable-pcie|x-pcie-.*|x-force-.*|guest-reset|migrate.*|unimp.*|use-uefi|ats|pm)$/u;
const SIZES = /queues|ports|vectors|size|outputs|count|num|intr|slots|msi|len|max_|p2|p3|debug|version|speed/u;
const MACHINE_FLAGS = [
  "hpet",
  "smm",
  "vmport",
  "usb",
  "pit",
  "sata",
  "smbus",
  "nvdimm",
  "acpi",
  "i8042",
  "graphics",
  "fd-bootchk",
  "pic",
  "rtc",
  "isa-serial",
  "pcie",
  "secure",
  "virtualization",
  "highmem",
  "its",
  "aia",
  "aclint",
  "cap-htm",
  "aes-key-wrap",
];
const CPU_FLAGS = [
  "vmx",
  "svm",
  "x2apic",
  "avx",
  "avx2",
  "avx512f",
  "pku",
  "xsaves",
  "pmu",
  "hypervisor",
  "la57",
  "smap",
  "pdpe1gb",
  "rdtscp",
  "mpx",
  "fsgsbase",
  "tsc-deadline",
  "arat",
  "mtrr",
  "pat",
  "kvmclock",
];

const BACKENDS: Readonly<Record<string, string>> = {
  chardev: "c",
  chardev1: "c",
  chardev2: "c",
  netdev: "n",
  audiodev: "a0",
  memdev: "m",
  fsdev: "fs0",
  cryptodev: "cry",
  canbus: "can0",
  canbus0: "can0",
  canbus1: "can0",
  drive: "d",
  bmc: "bmc",
};
const NEEDED = /^(?:drive|memdev|fsdev|cryptodev|canbus\d?|audiodev|bmc|chardev)$/u;

/** What a QEMU has. */
export async function offerOf(qemu: QemuBinary): Promise<Offer> {
  const [file = "", ...lead] = qemu.command;
  const help = (...args: string[]): string[] =>
    spawnSync(file, [...lead, ...args], { encoding: "utf8" }).stdout.split("\n");
  const machines = help("-machine", "help")
    .slice(1)
    .flatMap((row) => /^(\S+)/u.exec(row)?.slice(1) ?? [])
    .filter((name) => /^(?:pc|q35|isapc|microvm|virt|pseries|s390|sbsa|sifive|spike|powernv|mac99|raspi)/u.test(name));
  const cpus = help("-cpu", "help").flatMap(
    (row) => /^(?:x86|s390|PowerPC|\s)\s*([\w.-]{3,})/u.exec(row)?.slice(1) ?? [],
  );
  const devices = new Map(
    help("-device", "help").flatMap((row) => {
      const [, name = "", bus = ""] = /^name "([^"]+)"(?:, bus ([\w-]+))?/u.exec(row) ?? [];
      return name === "" || LEFT_OUT.test(name) ? [] : [[name, bus] as const];
    }),
  );
  let vm = await QemuProcess.start(qemu, ["-machine", "none"]);
  const properties = async (driver: string): Promise<readonly Property[]> => {
    try {
      return (await vm.execute("device-list-properties", { typename: driver })) as unknown as Property[];
    } catch {
      // Some devices end a QEMU that is asked for their properties.
      await vm.close();
      vm = await QemuProcess.start(qemu, ["-machine", "none"]);
      return [];
    }
  };
  return {
    machines,
    cpus,
    devices,
    properties,
    close: async () => {
      await vm.close();
    },
  };
}

/** A guest by its seed. */
export async function randomGuest(offer: Offer, seed: number): Promise<RandomGuest> {
  const random = new Random(seed);
  const machine = random.pick(offer.machines);
  const isPci = !/^(?:isapc|microvm|s390|sifive|spike|raspi)/u.test(machine);
  const isPc = /^(?:pc|q35|isapc)/u.test(machine);
  const buses = new Set<string>();
  const usable = [...offer.devices].filter(([, bus]) =>
    isPci
      ? ["PCI", "usb-bus", "SCSI", "HDA", "virtio-serial-bus", "IDE", "sd-bus", "IndustryPack"].includes(bus) ||
        (isPc && ["ISA", "System", "i2c-bus", "floppy-bus"].includes(bus))
      : bus === (machine.startsWith("s390") ? "virtual-css-bus" : machine.startsWith("microvm") ? "virtio-bus" : "ISA"),
  );
  const devices: RandomDevice[] = [];
  const add = async (driver: string, bus: string): Promise<void> => {
    if (CONTROLLERS[bus] !== undefined && !buses.has(bus) && !(bus === "IDE" && isPc)) {
      buses.add(bus);
      devices.push(
        await withProperties(
          offer,
          random.pick(CONTROLLERS[bus].filter((one) => offer.devices.has(one))),
          random,
          devices.length,
        ),
      );
    }
    devices.push(await withProperties(offer, driver, random, devices.length));
  };
  const count = 2 + random.below(7);
  for (let i = 0; i < count && usable.length > 0; i++) {
    // By bus first: most devices are on PCI.
    const bus = random.pick([...new Set(usable.map(([, one]) => one))]);
    const of = usable.filter((one) => one[1] === bus || random.once(3));
    await add(...random.pick(of));
  }
  const cpus = 1 + random.below(4);
  const options = MACHINE_FLAGS.filter(() => random.once(10)).map((name) => `${name}=${random.pick(["on", "off"])}`);
  const flags = CPU_FLAGS.filter(() => isPc && random.once(6)).map((name) => `${name}=${random.pick(["on", "off"])}`);
  return {
    machine,
    machineOptions: options,
    memory: isPc ? random.pick([4, 16, 64, 300]) : 512,
    slots: random.once(3) ? "" : `,slots=${1 + random.below(8)},maxmem=4G`,
    smp: random.once(2) ? `${cpus}` : `${cpus},maxcpus=${cpus + random.below(6)}`,
    cpu: random.once(4) ? [] : [random.once(5) ? "max" : random.pick(offer.cpus), ...flags],
    bare: random.once(2),
    devices,
    // Without a disk a CCW guest ends in a wait that QEMU takes for a panic.
    runs: machine.startsWith("s390") ? 0 : random.pick([0, 300, 1000, 3000]),
  };
}

async function withProperties(offer: Offer, driver: string, random: Random, at: number): Promise<RandomDevice> {
  const needs: string[] = [];
  const more: string[] = [];
  for (const { name, type, "default-value": usual } of await offer.properties(driver)) {
    const backend = BACKENDS[name];
    if (backend !== undefined) {
      if (NEEDED.test(name) || random.once(2))
        needs.push(`${name}=${backend.length === 1 ? `${backend}${at}` : backend}`);
      continue;
    }
    if (FIXED.test(name) || !random.once(6)) continue;
    if (type === "bool")
      more.push(`${name}=${typeof usual === "boolean" ? (usual ? "off" : "on") : random.pick(["on", "off"])}`);
    if (type === "OnOffAuto") more.push(`${name}=${random.pick(["on", "off"])}`);
    if (/^u?int/u.test(type) && SIZES.test(name))
      more.push(`${name}=${random.pick([1, 2, 3, 4, 5, 8, 16, 64, 256, 1024])}`);
  }
  if (driver === "nvme" && !needs.includes("serial=x")) needs.push("serial=x");
  if (driver.startsWith("pci-bridge")) needs.push(`chassis_nr=${at + 1}`);
  if (/root-port|ioh3420|downstream/u.test(driver)) needs.push(`slot=${at + 1}`, `chassis=${at + 1}`);
  if (driver.startsWith("virtio-9p")) needs.push("mount_tag=x");
  return { driver, needs, more };
}

/** Its command line. */
export function commandOf(guest: RandomGuest): string[] {
  const used = guest.devices.flatMap(({ needs }) => needs);
  const has = (name: string): boolean => used.some((one) => one.endsWith(`=${name}`));
  const disks = guest.devices.flatMap((_, at) => (has(`d${at}`) ? emptyDisks(`d${at}`) : []));
  return [
    ...words(`-machine ${[guest.machine, "suppress-vmdesc=off", ...guest.machineOptions].join(",")}`),
    ...words(`-m ${guest.memory}${guest.slots} -smp ${guest.smp}`),
    ...(guest.cpu.length > 0 ? ["-cpu", guest.cpu.join(",")] : []),
    ...(guest.bare ? ["-nodefaults"] : []),
    ...guest.devices.flatMap((_, at) => [
      ...(has(`c${at}`) ? ["-chardev", `null,id=c${at}`] : []),
      ...(has(`n${at}`) ? ["-netdev", `user,id=n${at}`] : []),
      ...(has(`m${at}`) ? ["-object", `memory-backend-ram,id=m${at},size=64M,share=on`] : []),
    ]),
    ...(has("a0") ? words("-audiodev none,id=a0") : []),
    ...(has("fs0") ? words("-fsdev synth,id=fs0") : []),
    ...(has("cry") ? words("-object cryptodev-backend-builtin,id=cry") : []),
    ...(has("can0") ? words("-object can-bus,id=can0") : []),
    ...(has("bmc") ? words("-device ipmi-bmc-sim,id=bmc") : []),
    ...disks,
    ...guest.devices.flatMap(({ driver, needs, more }) => ["-device", [driver, ...needs, ...more].join(",")]),
  ];
}

/** Leaves out what QEMU's message is about, or the next best; false: nothing is left to leave out. */
export function leaveOut(guest: RandomGuest, message: string): boolean {
  const { devices } = guest;
  const named = /-device (\S+?)(?::|\s|$)/u.exec(message)?.[1];
  const blocked = /non-migratable device '?(?:[^']*\/)?([\w-]+)/u.exec(message)?.[1];
  const at = devices.findIndex(
    (one) => [one.driver, ...one.needs, ...one.more].join(",") === named || one.driver === blocked,
  );
  const found = devices[at];
  if (found !== undefined && found.more.length > 0 && blocked === undefined) found.more = [];
  else if (found !== undefined) devices.splice(at, 1);
  else if (/cpu|feature/iu.test(message) && guest.cpu.length > 0)
    guest.cpu = guest.cpu.length > 1 ? guest.cpu.slice(0, 1) : [];
  else if (/smp|topology|CPUs/u.test(message) && guest.smp !== "1") guest.smp = "1";
  else if (/slots/u.test(message) && guest.slots !== "") guest.slots = "";
  else if (guest.machineOptions.length > 0) guest.machineOptions.pop();
  else if (devices.length > 0) devices.pop();
  else if (guest.cpu.length > 0) guest.cpu = [];
  else if (guest.smp !== "1") guest.smp = "1";
  else return false;
  return true;
}

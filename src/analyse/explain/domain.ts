/** What the domain XML of a save image adds to the destination that a stream shows: CPU, disks, firmware. */
import type { Domain, DomainDisk } from "../../io/container/libvirt/domain.js";
import type { LikelyDevice } from "./types.js";

/**
 * `-cpu`, and what goes with it in words: a model that is the host's needs KVM and a host of the same kind, which only
 * who starts the destination can know.
 */
export function cpuArguments({ cpu, accelerator, hyperv }: Domain, notes: string[]): string[] {
  if (accelerator === "kvm") notes.push("the guest ran under KVM (domain XML): -accel kvm");
  if (hyperv) notes.push("the domain XML has Hyper-V features, which are part of -cpu, too: hv-...=on");
  if (cpu === undefined) return [];
  const [model = ""] = cpu.split(",");
  if (model === "host") {
    notes.push(`the CPU is the host's own (domain XML): -accel kvm -cpu ${cpu}, on a host of the same kind`);
    return [];
  }
  notes.push("the CPU model is that of the domain XML in the save image");
  return ["-cpu", cpu];
}

/** Which files FLASH0 and FLASH1 stand for. */
export function flashNotes(args: readonly string[], { flash }: Domain): string[] {
  return args.flatMap((arg) => {
    const [, name, unit = ""] = /,file=(FLASH([01]))$/u.exec(arg) ?? [];
    const file = flash[Number(unit)];
    return name === undefined || file === undefined ? [] : [`${name} is ${JSON.stringify(file)} in the domain XML`];
  });
}

/**
 * Disks of the XML: a drive for each device that has one, and the disks of IDE, SATA and floppy controllers. They are
 * apart from the other arguments, since their files may be elsewhere than where the image is read.
 */
export function domainDisks(
  devices: readonly LikelyDevice[],
  domain: Domain,
  board: { pc: boolean; ide: boolean; q35: boolean },
): { arguments: string[]; devices: LikelyDevice[]; notes: string[] } {
  const left = [...domain.disks];
  const drives: string[] = [];
  const notes: string[] = [];
  const put = (id: string, disk: DomainDisk): void => {
    if (disk.source !== undefined) drives.push("-drive", `if=none,id=${id},${driveOptions(disk)}`);
    else notes.push(`the disk "${disk.target}" of the domain XML is not a file (${disk.remote}): ${id} stands for it`);
  };
  const given = devices.map((device) => {
    const id = /\bdrive=(DRIVE\d+)\b/u.exec(device.argument)?.[1];
    if (id === undefined) return device;
    const at = left.findIndex((disk) => isDiskOf(device, disk));
    const [disk] = at < 0 ? [] : left.splice(at, 1);
    if (disk === undefined) return device;
    const removable = disk.device === "cdrom" ? device.argument.replace(/^scsi-hd\b/u, "scsi-cd") : device.argument;
    if (disk.source === undefined && disk.remote === undefined)
      return { ...device, argument: removable.replace(`,drive=${id}`, "") };
    put(id, disk);
    return { ...device, argument: removable };
  });
  const rest = board.pc ? left.flatMap((disk) => boardDisk(disk, board, put)) : [];
  return { arguments: [...drives, ...rest], devices: given, notes };
}

/** Where the disk has a PCI address it is the device's, else what the device's bus and address are. */
function isDiskOf({ argument, place }: LikelyDevice, { bus, place: at, drive }: DomainDisk): boolean {
  if (at !== undefined) return at === place;
  if (argument.startsWith("usb-")) return bus === "usb";
  if (!argument.startsWith("scsi-") || bus !== "scsi") return false;
  const [, id = "0"] = /\bscsi-id=(\d+)/u.exec(argument) ?? [];
  const [, lun = "0"] = /\blun=(\d+)/u.exec(argument) ?? [];
  return drive === undefined || (drive.target === Number(id) && drive.unit === Number(lun));
}

/** A disk that has no section of its own. */
function boardDisk(
  disk: DomainDisk,
  { ide, q35 }: { ide: boolean; q35: boolean },
  put: (id: string, disk: DomainDisk) => void,
): string[] {
  const { bus, target, drive = { bus: 0, unit: 0 }, source, remote } = disk;
  const empty = source === undefined && remote === undefined;
  if (bus === "fdc")
    return source === undefined ? [] : ["-drive", `if=floppy,unit=${drive.unit},${driveOptions(disk)}`];
  if (!ide || (bus !== "ide" && (bus !== "sata" || !q35)) || (empty && disk.device !== "cdrom")) return [];
  const id = /^[a-z]+$/u.test(target) ? target : `disk${drive.bus}-${drive.unit}`;
  if (!empty) put(id, disk);
  const kind = disk.device === "cdrom" ? "ide-cd" : "ide-hd";
  const at = bus === "sata" ? `bus=ide.${drive.unit}` : `bus=ide.${drive.bus},unit=${drive.unit}`;
  return ["-device", `${kind},${at}${empty ? "" : `,drive=${id}`}`];
}

function driveOptions({ format, readonly, device, source = "" }: DomainDisk): string {
  const options = [
    ...(format === undefined ? [] : [`format=${format}`]),
    ...(readonly || device === "cdrom" ? ["readonly=on"] : []),
    `file=${quoted(source)}`,
  ];
  return options.join(",");
}

/** A value in an option of QEMU's. */
function quoted(value: string): string {
  return value.replaceAll(",", ",,");
}

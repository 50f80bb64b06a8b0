import { parseXml, XmlElement } from "@rgrove/parse-xml";
import type { LibvirtData } from "./header.js";

/** What a domain XML says that a stream does not. */
export interface Domain {
  /** The value of `-accel`. */
  accelerator?: "kvm" | "tcg";
  /** The value of `-cpu`: model and features; features of KVM and Hyper-V are not among them. */
  cpu?: string;
  /** Whether Hyper-V's features are on, which are part of `-cpu`, too. */
  hyperv: boolean;
  disks: DomainDisk[];
  /** Files of the firmware in pflash: the code, and the variables. */
  flash: [string | undefined, string | undefined];
}

/** A `disk` of a domain. */
export interface DomainDisk {
  /** Name in the guest's view: `vda`, `hdc`. */
  target: string;
  bus: string;
  device: "disk" | "cdrom" | "floppy" | "lun";
  /** Of the image. */
  format?: string;
  /** Path of a file or block device; undefined: none is in the drive, or `remote`. */
  source?: string;
  /** Where the image is, if it is no path: a protocol, a volume of a pool. */
  remote?: string;
  readonly: boolean;
  /** PCI address as in the name of a section: `0000:00:04.0`. */
  place?: string;
  /** Of an address of type `drive`. */
  drive?: { bus: number; target: number; unit: number };
}

/** Disks that are kept: a text of some MiB can name 100,000. */
const MOST_DISKS = 256;

/**
 * What the texts of a save image say of the destination; undefined where they are no domain XML. The CPU is that of the
 * cookie, if there is one: libvirt writes into it what the running guest had. Source: libvirt's documentation of the
 * domain XML; src/qemu/qemu_domain.c, the save cookie (9.0 to 11.3); src/qemu/qemu_capabilities.c for the names of
 * features.
 */
export function domainOf({ xml, cookie }: LibvirtData): Domain | undefined {
  const domain = rootOf(xml);
  if (domain?.name !== "domain") return undefined;
  const running = cookie === undefined ? undefined : child(rootOf(cookie), "cpu");
  const cpu = cpuArgument(running ?? child(domain, "cpu"));
  const type = domain.attributes["type"];
  const devices = child(domain, "devices");
  const os = child(domain, "os");
  const loader = child(os, "loader");
  return {
    ...(type === "kvm" ? { accelerator: "kvm" } : type === "qemu" ? { accelerator: "tcg" } : {}),
    ...(cpu === undefined ? {} : { cpu }),
    hyperv: child(child(domain, "features"), "hyperv") !== undefined,
    disks: children(devices, "disk").slice(0, MOST_DISKS).map(diskOf),
    flash: [loader?.attributes["type"] === "pflash" ? textOf(loader) : undefined, textOf(child(os, "nvram"))],
  };
}

function rootOf(text: string): XmlElement | undefined {
  try {
    return parseXml(text).root ?? undefined;
  } catch {
    // Not XML, or nested deeper than the stack.
    return undefined;
  }
}

function children(element: XmlElement | undefined, name: string): XmlElement[] {
  const all = element?.children ?? [];
  return all.filter((one): one is XmlElement => one instanceof XmlElement && one.name === name);
}

function child(element: XmlElement | undefined, name: string): XmlElement | undefined {
  return children(element, name)[0];
}

function textOf(element: XmlElement | undefined): string | undefined {
  const text = element?.text.trim();
  return text === "" ? undefined : text;
}

const POLICIES: Readonly<Record<string, string>> = { require: "on", force: "on", disable: "off", forbid: "off" };
const MODES: Readonly<Record<string, string>> = { "host-passthrough": "host", maximum: "max" };

function cpuArgument(cpu: XmlElement | undefined): string | undefined {
  const model = MODES[cpu?.attributes["mode"] ?? ""] ?? child(cpu, "model")?.text.trim() ?? "";
  if (!/^[\w.+-]+$/u.test(model)) return undefined;
  const features = children(cpu, "feature").flatMap(({ attributes: { name = "", policy = "" } }) => {
    const value = POLICIES[policy];
    return value === undefined || !/^[\w.-]+$/u.test(name) ? [] : [`${featureName(name)}=${value}`];
  });
  return [model, ...features].join(",");
}

/** QEMU's name of a feature. */
function featureName(name: string): string {
  return name === "pclmuldq" ? "pclmulqdq" : name.replaceAll("_", "-");
}

const DEVICES = new Set(["disk", "cdrom", "floppy", "lun"]);

function diskOf(disk: XmlElement): DomainDisk {
  const { device = "disk", type = "file" } = disk.attributes;
  const target = child(disk, "target")?.attributes ?? {};
  const source = child(disk, "source")?.attributes ?? {};
  const path = { file: source["file"], block: source["dev"] }[type];
  const format = child(disk, "driver")?.attributes["type"];
  const empty = child(disk, "source") === undefined;
  return {
    target: target["dev"] ?? "",
    bus: target["bus"] ?? "",
    device: DEVICES.has(device) ? (device as DomainDisk["device"]) : "disk",
    ...(format === undefined || !/^[\w-]+$/u.test(format) ? {} : { format }),
    ...(path === undefined ? (empty ? {} : { remote: source["protocol"] ?? type }) : { source: path }),
    readonly: child(disk, "readonly") !== undefined,
    ...addressOf(child(disk, "address")),
  };
}

function addressOf(address: XmlElement | undefined): Pick<DomainDisk, "place" | "drive"> {
  const {
    type,
    domain = "0",
    bus = "0",
    slot = "0",
    function: fn = "0",
    target = "0",
    unit = "0",
  } = address?.attributes ?? {};
  if (type === "drive") {
    const drive = { bus: Number(bus), target: Number(target), unit: Number(unit) };
    return Object.values(drive).every((one) => Number.isSafeInteger(one)) ? { drive } : {};
  }
  if (type !== "pci") return {};
  return { place: `${hex(domain, 4)}:${hex(bus, 2)}:${hex(slot, 2)}.${hex(fn, 1)}` };
}

/** A number of the XML, decimal or with 0x, as names of sections have it. */
function hex(text: string, digits: number): string {
  return Number(text).toString(16).padStart(digits, "0");
}

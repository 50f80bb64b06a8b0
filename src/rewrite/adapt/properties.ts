import { machineRelease, releaseNumber } from "../../guest/machines/index.js";
import { NEWER_PROPERTIES } from "./rules/properties-newer.js";
import { OLDER_PROPERTIES } from "./rules/properties-older.js";

/** A property of a device that machine types of a release set. */
export interface Property {
  driver: string;
  property: string;
  value: string;
}

/**
 * What a machine type of release `old` sets that one of release `now` does not, so that its devices are those that
 * the guest knows. Of two values for one property that of the older release is last.
 */
export function propertiesBetween(old: string, now: string | undefined): Property[] {
  const [from, to] = [releaseNumber(old), releaseNumber(now) ?? Number.POSITIVE_INFINITY];
  if (from === undefined || from >= to) return [];
  const found = new Map<string, Property>();
  for (const [release, lines] of [...Object.entries(NEWER_PROPERTIES), ...Object.entries(OLDER_PROPERTIES)]) {
    const number = releaseNumber(release)!;
    if (number < from || number >= to) continue;
    for (const line of lines.trim().split("\n")) {
      const [, driver = "", property = "", value = ""] = /^\s*([^.]+)\.([^=]+)=(.*)$/u.exec(line) ?? [];
      found.delete(`${driver}.${property}`);
      found.set(`${driver}.${property}`, { driver, property, value });
    }
  }
  return [...found.values()];
}

/** Whether a command says which display adapter the machine has. */
function asksForDisplay(args: readonly string[]): boolean {
  return args.some(
    (word) => /^--?(?:nodefaults|vga)$/u.test(word) || /^(?:VGA|cirrus-vga|qxl-vga|virtio-vga)/u.test(word),
  );
}

/** Sections of display adapters that are not the default, and the `-vga` that makes them. */
const OTHER_VGA: Readonly<Record<string, string>> = { cirrus_vga: "cirrus", qxl: "qxl", vmware_vga: "vmware" };

/**
 * The display adapter of the guest, where the command does not say one: machine types up to 2.1 have another one by
 * default than today's. Source: hw/i386/pc_piix.c, 7.2.
 * @param sections names of the guest's sections
 */
export function displayArguments(sections: readonly string[], args: readonly string[]): string[] {
  if (asksForDisplay(args)) return [];
  const found = sections.map((name) => OTHER_VGA[name.slice(name.lastIndexOf("/") + 1)]);
  const vga = found.find((one) => one !== undefined);
  return vga === undefined ? [] : ["-vga", vga];
}

/** The last release whose machine types make sockets of the CPUs that `-smp` says no more about; later ones cores. */
const SOCKETS = releaseNumber("6.1")!;

/**
 * The topology of the guest's CPUs, where the command's `-smp` says none and its machine type takes another by default
 * than the guest's did: a running guest has read it, and the places of CPUs that are plugged in are called by it.
 * Source: hw/core/machine-smp.c, `smp_props.prefer_sockets` in hw/i386/pc_piix.c and pc_q35.c, 7.2 and 11.1.
 * @param old machine type of the old stream
 */
export function topologyArguments(old: string | undefined, args: readonly string[]): string[] {
  const was = releaseNumber(machineRelease(old));
  const smp = valueOf(args, /^--?smp$/u);
  if (was === undefined || smp === undefined || old?.startsWith("pc-") !== true) return [];
  if (/\b(?:sockets|dies|clusters|modules|cores|threads)=/u.test(smp)) return [];
  // A name without a release is that of the newest type.
  const is = releaseNumber(machineRelease(valueOf(args, /^--?(?:machine|M)$/u)?.replace(/^type=|,.*$/gu, "")));
  if ((is ?? Number.POSITIVE_INFINITY) > SOCKETS === was > SOCKETS) return [];
  const cpus = /^(?:cpus=)?(\d+)|,cpus=(\d+)/u
    .exec(smp)
    ?.slice(1)
    .find((one) => one !== undefined);
  const all = /\bmaxcpus=(\d+)/u.exec(smp)?.[1] ?? cpus ?? "1";
  if (all === "1") return [];
  const kind = was > SOCKETS ? "cores" : "sockets";
  return ["-smp", `${cpus === undefined ? "" : `cpus=${cpus},`}maxcpus=${all},${kind}=${all}`];
}

/** The value of the last option of a name. */
function valueOf(args: readonly string[], name: RegExp): string | undefined {
  const at = args.findLastIndex((word) => name.test(word));
  return at < 0 ? undefined : args[at + 1];
}

/** Display adapters that a machine has by default, and the `-vga` that makes them. */
const DEFAULT_VGA: Readonly<Record<string, string>> = { VGA: "std", "cirrus-vga": "cirrus" };

/**
 * As QEMU takes them: `-global DRIVER.PROPERTY=VALUE`. A default display adapter that a `-global` names is no longer
 * made by default, so it is asked for. Source: system/vl.c `default_driver_check`, 7.2 and 11.1.
 * @param args those of the command so far
 */
export function globalArguments(properties: readonly Property[], args: readonly string[]): string[] {
  const all = properties.flatMap(({ driver, property, value }) => ["-global", `${driver}.${property}=${value}`]);
  const vga = properties.map(({ driver }) => DEFAULT_VGA[driver]).find((one) => one !== undefined);
  return asksForDisplay(args) || vga === undefined ? all : ["-vga", vga, ...all];
}

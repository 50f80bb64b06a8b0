/** Parses machine type names: family, release, and the upstream machine of a distribution's name. */
import { MACHINE_ALIASES, type MachineAlias } from "./aliases.js";

/** An upstream machine type of QEMU. */
export interface UpstreamMachine {
  /** `pc-i440fx-2.11`. */
  name: string;
  /** `pc-i440fx`. */
  family: string;
  /** The release of the machine: `2.11`. */
  release: string;
  /** The distribution's alias that matched; undefined for an upstream name. */
  alias: MachineAlias | undefined;
}

/**
 * The upstream machine of a name, which may be a distribution's alias. Undefined for a name without release (`pc`,
 * `none`, boards without versions) or an unknown name.
 */
export function upstreamMachine(name: string | null | undefined): UpstreamMachine | undefined {
  if (name === null || name === undefined || name.length > MOST) return undefined;
  const own = versioned(name);
  if (own !== undefined) return { ...own, name, alias: undefined };
  const alias = MACHINE_ALIASES.find(({ pattern }) => pattern.test(name));
  if (alias === undefined) return undefined;
  const upstream = name.replace(alias.pattern, alias.upstream);
  const found = versioned(upstream);
  return found && { ...found, name: upstream, alias };
}

/** Maximum length of a name; QEMU's own have at most 30 characters. */
const MOST = 64;

/** `pc-i440fx-7.2`, `pc-q35-4.0.1`, `pseries-2.12-sxxm`. */
function versioned(name: string): { family: string; release: string } | undefined {
  const [, family, release, micro] = /^([a-z][\w-]*?)-(\d+\.\d+)(\.\d+)?(?:-sxxm)?$/u.exec(name) ?? [];
  if (family === undefined || release === undefined) return undefined;
  // pc-q35-4.0.1 appeared in 4.1 and was added to 4.0 by its stable release.
  return { family: FAMILIES[family] ?? family, release: micro === ".1" && release === "4.0" ? "4.1" : release };
}

/** Up to 1.3 the machine was named `pc-1.3`. */
const FAMILIES: Readonly<Record<string, string>> = { pc: "pc-i440fx" };

/** The alias of the newest machine of a family in each QEMU, and Ubuntu's defaults. */
const NEWEST: Readonly<Record<string, string>> = {
  pc: "pc-i440fx",
  q35: "pc-q35",
  ubuntu: "pc-i440fx",
  "ubuntu-q35": "pc-q35",
};

/** `pc-i440fx` of `pc-i440fx-7.2`, `pc-i440fx-bionic` and `pc`; the name itself where it has no release. */
export function machineFamily(name: string): string {
  return upstreamMachine(name)?.family ?? NEWEST[name] ?? name;
}

/**
 * The QEMU release of a machine type by its name, `2.11` for `pc-i440fx-bionic`; undefined where the name does not show
 * it.
 */
export function machineRelease(name: string | null | undefined): string | undefined {
  return upstreamMachine(name)?.release;
}

/** A release as a comparable number: `7.2` is 702; undefined where it is not a release. */
export function releaseNumber(release: string | undefined): number | undefined {
  const [, major, minor] = /^(\d{1,2})\.(\d{1,2})$/u.exec(release ?? "") ?? [];
  return major === undefined ? undefined : Number(major) * 100 + Number(minor);
}

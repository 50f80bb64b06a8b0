/** What a machine type's name says: family, release, and the upstream machine that a distribution's name stands for. */
import { MACHINE_ALIASES, type MachineAlias } from "./aliases.js";

/** A machine type of QEMU's own. */
export interface UpstreamMachine {
  /** `pc-i440fx-2.11`. */
  name: string;
  /** `pc-i440fx`. */
  family: string;
  /** The release whose machine it is: `2.11`. */
  release: string;
  /** The distribution's name it was found by; undefined: the name was QEMU's own. */
  alias: MachineAlias | undefined;
}

/**
 * The upstream machine of a name: its own, or what a distribution's name stands for. Undefined: no release in the name (`pc`, `none`,
 * boards without versions), or a name that is not known.
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

/** The longest name that is looked at; QEMU's own have 30 characters at most. */
const MOST = 64;

/** `pc-i440fx-7.2`, `pc-q35-4.0.1`, `pseries-2.12-sxxm`. */
function versioned(name: string): { family: string; release: string } | undefined {
  const [, family, release, micro] = /^([a-z][\w-]*?)-(\d+\.\d+)(\.\d+)?(?:-sxxm)?$/u.exec(name) ?? [];
  if (family === undefined || release === undefined) return undefined;
  // pc-q35-4.0.1 came with 4.1 and was given to 4.0 by its stable release.
  return { family: FAMILIES[family] ?? family, release: micro === ".1" && release === "4.0" ? "4.1" : release };
}

/** Up to 1.3 the machine was called `pc-1.3`. */
const FAMILIES: Readonly<Record<string, string>> = { pc: "pc-i440fx" };

/** The names under which each QEMU has its newest machine of a family, and Ubuntu's default ones. */
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

/** The QEMU release of a machine type by its name, `2.11` for `pc-i440fx-bionic`; undefined: the name does not say it. */
export function machineRelease(name: string | null | undefined): string | undefined {
  return upstreamMachine(name)?.release;
}

/** A release as a number, to compare: `7.2` is 702; undefined: not a release. */
export function releaseNumber(release: string | undefined): number | undefined {
  const [, major, minor] = /^(\d{1,2})\.(\d{1,2})$/u.exec(release ?? "") ?? [];
  return major === undefined ? undefined : Number(major) * 100 + Number(minor);
}

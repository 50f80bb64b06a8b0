import { upstreamMachine } from "../../guest/machines/index.js";
import { RamFlag } from "../../codec/ram/index.js";
import { hasTooLongQueues } from "./virtio-properties.js";
import { at, distributionWords } from "./words.js";
import type { Survey } from "./survey.js";
import type { ErrorCode } from "../../bytes/errors.js";
import type { Explanation, VersionRule } from "./types.js";

/**
 * Which releases of QEMU can load a file, and what in it says so. Only what QEMU's releases or loads by real ones show;
 * each rule names its source.
 */
export function versionRules(survey: Survey, file: string): VersionRule[] {
  return RULES.flatMap((rule) => rule(survey, file) ?? []);
}

/** The releases that every rule leaves: the latest `from` and the earliest `to`. */
export function bounds(rules: readonly VersionRule[]): { firstRelease: string | null; lastRelease: string | null } {
  const from = rules
    .flatMap((rule) => rule.firstRelease ?? [])
    .toSorted(compareVersions)
    .at(-1);
  const to = rules
    .flatMap((rule) => rule.lastRelease ?? [])
    .toSorted(compareVersions)
    .at(0);
  return { firstRelease: from ?? null, lastRelease: to ?? null };
}

/** How reliable the bounds of the rules are: see `Explanation.versions`. */
export function whatLoads({ damage, inspection }: Survey): VersionsWorth {
  if (damage.some(({ code }) => !OPEN_CODES.has(code))) return "none";
  if (damage.length > 0 || !inspection.complete) return "unknown";
  return inspection.uncheckedPayloads > 0 ? "unchecked" : "may";
}

type VersionsWorth = Explanation["versions"]["loads"];

/**
 * Findings of which a QEMU may think otherwise: no codec here, a limit of this decoder, devices that do not fit their
 * description.
 */
const OPEN_CODES: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["unsupported", "limit", "bad-description"]);

/** The line above the rules. */
export function releasesLine({ firstRelease: from, lastRelease: to, rules, loads }: Explanation["versions"]): string {
  const range = `${from === null ? "any" : `${from} and later`}${to === null ? "" : `${from === null ? "" : ","} up to ${to}`}`;
  if (from !== null && to !== null && compareVersions(from, to) > 0) return "No release of QEMU loads it as it is";
  switch (loads) {
    case "none":
      return `No release of QEMU loads it as it is: it is damaged or cut${rules.length === 0 ? "" : ". A whole copy of it needs"}`;
    case "unknown":
      return `Not all of it could be read: which releases of QEMU load it is not known. What was read needs ${range}`;
    case "unchecked":
      return `Releases of QEMU that may load it, if its pages are whole (not checked): ${range}`;
    default:
      return `Releases of QEMU that may load it: ${range}`;
  }
}

export function compareVersions(a: string, b: string): number {
  const [aMajor = 0, aMinor = 0] = a.split(".").map(Number);
  const [bMajor = 0, bMinor = 0] = b.split(".").map(Number);
  return aMajor - bMajor || aMinor - bMinor;
}

type Rule = (survey: Survey, file: string) => VersionRule | undefined;

const RULES: readonly Rule[] = [
  machineType,
  compressed,
  switchover,
  mappedRam,
  flush,
  fill,
  block,
  early,
  longQueues,
  capabilities,
  dirtyBitmap,
  uuid,
  foreign,
];

/**
 * A versioned machine type exists from its own release on. From 10.1 on release X.Y has no machine type of release (X -
 * 6).Y or older (QEMU include/hw/boards.h, MACHINE_VER_DELETION_MAJOR 6; of 11.1 seen in chapter 21); 10.0 has none
 * before 2.4 (chapter 21), 8.2 none before 2.0 (docs/about/removed-features.rst).
 */
function machineType({ inspection: { machine } }: Survey): VersionRule | undefined {
  const upstream = upstreamMachine(machine);
  if (upstream === undefined) return undefined;
  const { release: version, name, alias } = upstream;
  const removed = removedIn(version);
  const aliasOf = alias === undefined ? "" : `, ${distributionWords(alias)} of ${name}`;
  const why = `machine type ${machine}${aliasOf}, which QEMU has since ${version}`;
  if (compareVersions(removed, NEWEST) > 0) return { firstRelease: version, why };
  return { firstRelease: version, lastRelease: before(removed), why: `${why} and no longer in ${removed}` };
}

/** The newest release that anything here was held against. */
const NEWEST = "11.1";

/** The first release that is known not to have the machine types of `version`. */
function removedIn(version: string): string {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major < 2) return "8.2";
  if (compareVersions(version, "2.4") < 0) return "10.0";
  const removed = `${major + 6}.${minor}`;
  return compareVersions(removed, "10.1") < 0 ? "10.1" : removed;
}

/** The release before: since 4.0 every major release has .0, .1 and .2. */
function before(release: string): string {
  const [major = 0, minor = 0] = release.split(".").map(Number);
  return minor === 0 ? `${major - 1}.2` : `${major}.${minor - 1}`;
}

/** The last release that has COMPRESS_PAGE. */
export const LAST_COMPRESS = "9.0";

/** QEMU migration/ram.c, ram-compress.c: COMPRESS_PAGE 2.4 to 9.0. */
function compressed({ first, inspection }: Survey, file: string): VersionRule | undefined {
  const record = first.get(RamFlag.COMPRESS_PAGE);
  if (record === undefined) return undefined;
  return {
    firstRelease: "2.4",
    lastRelease: LAST_COMPRESS,
    why: `${inspection.ram.pages.compressed} compressed pages, the first ${at(record.offset)}: 9.1 removed the capability compress`,
    remedy: {
      what: "write the pages plain, which every release loads",
      command: ["qevm", "convert", file, "--out", "NEW", "--ram", "normal"],
    },
  };
}

/** QEMU migration/savevm.c: MIG_CMD_SWITCHOVER_START, 10.0. */
function switchover({ inspection }: Survey): VersionRule | undefined {
  const command = inspection.commands.find(({ name }) => name === "SWITCHOVER_START");
  if (command === undefined) return undefined;
  return {
    firstRelease: "10.0",
    why: `the command SWITCHOVER_START ${at(command.streamOffset)}: earlier releases do not know it`,
  };
}

/** QEMU 9.0. */
function mappedRam({ inspection, start }: Survey, file: string): VersionRule | undefined {
  if (!inspection.capabilities.includes("mapped-ram")) return undefined;
  return {
    firstRelease: "9.0",
    why: `it is a mapped-ram file, to be loaded by -incoming file:PATH${start > 0 ? `,offset=${start}` : ""} with the capability mapped-ram on`,
    remedy: {
      what: "make a plain stream of it, for pipes, sockets and the releases before",
      command: ["qevm", "convert", file, "--out", "NEW", "--to", "stream"],
    },
  };
}

/** QEMU migration/ram.c: RAM_SAVE_FLAG_MULTIFD_FLUSH, 8.1. */
function flush({ first }: Survey): VersionRule | undefined {
  const record = first.get(RamFlag.MULTIFD_FLUSH);
  if (record === undefined) return undefined;
  return {
    firstRelease: "8.1",
    why: `a MULTIFD_FLUSH record (flag 0x200) ${at(record.offset)}: earlier releases do not know it`,
  };
}

/** QEMU migration/ram.c: a zero page's byte must be zero from 8.2 on. */
function fill({ first }: Survey): VersionRule | undefined {
  const record = first.get("fill");
  if (record === undefined) return undefined;
  return {
    lastRelease: "8.1",
    why: `a ZERO record that fills its page with ${record.fill} ${at(record.offset)}: 8.2 and later refuse it`,
  };
}

/** QEMU migration/block.c, removed in 9.1. */
function block({ inspection }: Survey): VersionRule | undefined {
  const section = inspection.sections.find(({ section: name, type }) => name === "block" && type === "start");
  if (section === undefined) return undefined;
  return {
    lastRelease: "9.0",
    why: `disks inside the stream (section "block" ${at(section.streamOffset)}): 9.1 removed block migration`,
  };
}

/** QEMU hw/virtio/virtio-mem.c, early setup of 8.0. */
function early({ devices }: Survey): VersionRule | undefined {
  const section = devices.find(({ name }) => name.endsWith("virtio-mem-device-early"));
  return (
    section && {
      firstRelease: "8.0",
      why: `section "${section.name}" ${at(section.offset)}: virtio-mem writes it from 8.0 on`,
    }
  );
}

/** Loads: QEMU hw/virtio/virtio.c virtio_load of 11.1 takes no more entries than a queue has, 10.0 any number. */
function longQueues({ devices }: Survey, file: string): VersionRule | undefined {
  const device = devices.find(
    ({ name, state }) => state !== undefined && hasTooLongQueues(name.slice(name.lastIndexOf("/") + 1), state),
  );
  if (device === undefined) return undefined;
  return {
    lastRelease: "11.0",
    why: `every queue of "${device.name}" ${at(device.offset)} says 1024 entries, as QEMU 10.0 saves of queues that no driver made smaller: 11.1 takes no more than a queue has`,
    remedy: {
      what: "write the numbers that this destination's queues have",
      command: ["qevm", "adapt", file, "--out", "NEW", "--", "QEMU", "ARGS..."],
    },
  };
}

/** QEMU migration/savevm.c: configuration/capabilities, 4.0. */
function capabilities({ inspection, configuration }: Survey): VersionRule | undefined {
  if (inspection.capabilities.length === 0 || configuration === undefined) return undefined;
  return {
    firstRelease: "4.0",
    why: `the configuration section ${at(configuration.offset)} names capabilities: ${inspection.capabilities.join(", ")}`,
  };
}

/** QEMU migration/block-dirty-bitmap.c, 2.12. */
function dirtyBitmap({ inspection }: Survey): VersionRule | undefined {
  const section = inspection.sections.find(({ section: name }) => name === "dirty-bitmap");
  return section && { firstRelease: "2.12", why: `section "dirty-bitmap" ${at(section.streamOffset)}` };
}

/** QEMU migration/savevm.c: configuration/uuid, 4.2. */
function uuid({ configuration }: Survey): VersionRule | undefined {
  const found = configuration?.value.subsections.some(({ name }) => name === "configuration/uuid") ?? false;
  return found ? { firstRelease: "4.2", why: "the configuration section has the guest's UUID" } : undefined;
}

/** Iterative sections of an upstream QEMU. */
const UPSTREAM = /^(?:ram|block|dirty-bitmap|spapr\/htab|s390-storage_attributes|(?:.*\/)?vfio)$/u;

/** A section that no upstream QEMU writes: only a QEMU that has it loads the file. */
function foreign({ inspection: { sections } }: Survey): VersionRule | undefined {
  const section = sections.find(({ section: name, type }) => type === "start" && !UPSTREAM.test(name));
  if (section === undefined) return undefined;
  const whose = section.section === "pbs-state" ? "Proxmox VE's QEMU writes it" : "it is of a QEMU that was changed";
  return {
    why: `section "${section.section}" ${at(section.streamOffset)}: ${whose}, and one without it does not load the file`,
  };
}

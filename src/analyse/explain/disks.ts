/** Disks that a stream names itself: those in a "block" section (block migration), and those of dirty bitmaps. */
import type { SectionRecord } from "../../codec/sections/index.js";
import { isId } from "./names.js";
import type { LikelyDevice } from "./types.js";

/** A disk that the stream names. */
export interface NamedDisk {
  section: "block" | "dirty-bitmap";
  /** Bytes that the disk has at least: the end of what the stream says of it. */
  end: number;
}

/** Names that are kept: QEMU's own programs have a few disks; a hostile stream may have a name in every record. */
const MOST = 64;

const SECTOR = 512;
const CHUNK = 1 << 20;

/** Takes note of the disks that records name. A record of a bitmap without a name is about the one before. */
export class DiskNames {
  readonly found = new Map<string, NamedDisk>();
  private node = "";

  record(record: SectionRecord): void {
    if (record.section === "block" && (record.kind === "data" || record.kind === "zero"))
      this.note(record.device, record.section, record.position + CHUNK);
    else if (record.section === "dirty-bitmap" && record.kind !== "end") {
      this.node = record.node ?? this.node;
      const end = record.kind === "bits" ? (Number(record.sector) + record.sectors) * SECTOR : 0;
      this.note(this.node, record.section, end);
    }
  }

  private note(name: string, section: NamedDisk["section"], end: number): void {
    const known = this.found.get(name);
    if (known !== undefined) known.end = Math.max(known.end, end);
    else if (this.found.size < MOST) this.found.set(name, { section, end });
  }
}

/**
 * A drive for each disk that the stream names, and the devices that have them, in the order of the names: the
 * destination finds disks by name, and writes to them only where a device has them. Source: QEMU migration/block.c
 * (until 9.0), migration/block-dirty-bitmap.c, blockdev.c `drive_new` for the names that QEMU gives (`ide0-hd1`,
 * `floppy0`), 5.2 to 11.1.
 *
 * @param ide whether the machine has a controller for IDE or SATA, whose disks have no section
 */
export function diskArguments(
  { disks }: { readonly disks: ReadonlyMap<string, NamedDisk> },
  devices: readonly LikelyDevice[],
  ide: boolean,
  notes: string[],
): { arguments: string[]; devices: LikelyDevice[] } {
  // pflash has its own arguments, with the same names.
  const named = [...disks].filter(([name]) => !/^pflash\d$/u.test(name)).toSorted(([a], [b]) => byNumber(a, b));
  const usable = named.filter(([name]) => isId(name));
  for (const [name, { section }] of named.filter(([other]) => !isId(other)))
    notes.push(
      `section "${section}" names the disk ${JSON.stringify(name)}, a name that no QEMU gives: it is left out`,
    );
  if (usable.length === 0) return { arguments: [], devices: [...devices] };
  notes.push(
    ...usable.map(([name, { section, end }], i) => {
      const size = end === 0 ? "" : ` of at least ${end} bytes`;
      return `section "${section}" belongs to the disk "${name}": DISK${i} stands for an image${size}; its format is not in the stream`;
    }),
  );
  const free = usable.map(([name]) => name).filter((name) => boardDrive(name) === undefined);
  if (free.length > 1)
    notes.push("which device has which disk is not in the stream: they are assigned in the order of their names");
  const given = devices.map((one) => {
    const name = /\bdrive=DRIVE\d+$/u.test(one.argument) ? free.shift() : undefined;
    return name === undefined ? one : { ...one, argument: one.argument.replace(/\bDRIVE\d+$/u, name) };
  });
  return {
    arguments: [
      ...usable.flatMap(([name], i) => ["-drive", `${boardDrive(name) ?? `if=none,id=${name}`},file=DISK${i}`]),
      ...(ide ? free.flatMap((name) => ["-device", `ide-hd,drive=${name}`]) : []),
    ],
    devices: given,
  };
}

/** `disk2` before `disk10`. */
export function byNumber(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}

/** What gives a drive one of QEMU's own names. */
function boardDrive(name: string): string | undefined {
  const [, bus, kind, unit] = /^ide(\d)-(hd|cd)(\d)$/u.exec(name) ?? [];
  if (bus !== undefined) return `if=ide,bus=${bus},unit=${unit}${kind === "cd" ? ",media=cdrom" : ""}`;
  const [, floppy] = /^floppy(\d)$/u.exec(name) ?? [];
  return floppy === undefined ? undefined : `if=floppy,unit=${floppy}`;
}

/**
 * Locates and reads the RAMBlocks of a running QEMU. Three ways, most reliable first:
 *
 * - `info ramblock` has the host address (10.0 and later);
 * - `info mtree -f` has the blocks that are mapped for the guest, `gpa2hva` the host address of each;
 * - otherwise the host mappings: QEMU allocates each block by a separate mmap, aligned to 2 MiB and followed by a guard
 *   page. A block is located this way only if exactly one free mapping has its size, or its contents have a known
 *   beginning.
 *
 * The bytes are then read from /proc/PID/mem.
 */
import { createHash } from "node:crypto";
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import type { QemuProcess } from "./process.js";

/** One line of `info ramblock`, with the host address where it was found. */
interface LocatedBlock {
  readonly name: string;
  /** Used length in bytes, as in the stream. */
  readonly used: number;
  /** Bytes reserved. */
  readonly total: number;
  /** Host address, or undefined with a reason. */
  readonly address: bigint | undefined;
  /** How the address was found, or why not. */
  readonly how: string;
}

interface Line {
  readonly name: string;
  readonly used: number;
  readonly total: number;
  readonly hva: bigint | undefined;
}

/** The RAMBlocks of a QEMU with their host addresses, in the order of `info ramblock`. */
export async function locateBlocks(vm: QemuProcess): Promise<LocatedBlock[]> {
  const lines = parseRamBlocks(await vm.human("info ramblock"));
  const found = new Map<string, { address: bigint; how: string }>();
  for (const line of lines)
    if (line.hva !== undefined) found.set(line.name, { address: line.hva, how: "info ramblock" });
  if (found.size < lines.length) await locateMapped(vm, lines, found);
  if (found.size < lines.length) locateByMapping(vm, lines, found);
  return lines.map(({ name, used, total }) => {
    const place = found.get(name);
    return {
      name,
      used,
      total,
      address: place?.address,
      how: place?.how ?? "not mapped for the guest, and no host mapping is certain",
    };
  });
}

/** SHA-256 of the used part of a located block, as lower-case hexadecimal. */
export function hashBlock(vm: QemuProcess, block: LocatedBlock): string | undefined {
  if (block.address === undefined) return undefined;
  return hashRange(vm, block.address, block.used);
}

function hashRange(vm: QemuProcess, address: bigint, length: number): string {
  const hash = createHash("sha256");
  readProcess(vm, address, length, (bytes) => hash.update(bytes));
  return hash.digest("hex");
}

/** The used part of a located block. The bytes belong to the caller. */
export function readBlock(vm: QemuProcess, block: LocatedBlock): Buffer | undefined {
  if (block.address === undefined) return undefined;
  const parts: Buffer[] = [];
  readProcess(vm, block.address, block.used, (bytes) => parts.push(Buffer.from(bytes)));
  return Buffer.concat(parts);
}

/**
 * The first offset at which a located block differs from the expected contents; undefined when it is equal. `fill`
 * writes the expected contents at an offset into a zeroed buffer of up to 1 MiB. For blocks that are too large to hash.
 */
export function firstDifference(
  vm: QemuProcess,
  { address, used }: LocatedBlock,
  fill: (offset: number, into: Buffer) => void,
): number | undefined {
  if (address === undefined) return 0;
  const want = Buffer.alloc(1 << 20);
  let at = 0;
  let different: number | undefined;
  readProcess(vm, address, used, (bytes) => {
    if (different === undefined) {
      const expected = want.subarray(0, bytes.length);
      expected.fill(0);
      fill(at, expected);
      if (!expected.equals(bytes)) different = at + expected.findIndex((byte, index) => byte !== bytes[index]);
    }
    at += bytes.length;
  });
  return different ?? (at < used ? at : undefined);
}

/** Lines of `info ramblock`: name, page size, offset, used, total, and from 10.0 on the host address. */
function parseRamBlocks(text: string): Line[] {
  const pattern = /^\s*(\S+)\s+\d+ [KMG]iB\s+0x[0-9a-f]+\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)(?:\s+0x([0-9a-f]+))?/u;
  return text.split("\n").flatMap((line) => {
    const match = pattern.exec(line);
    if (match === null) return [];
    const [, name = "", used = "0", total = "0", hva] = match;
    return [
      {
        name,
        used: Number.parseInt(used, 16),
        total: Number.parseInt(total, 16),
        hva: hva === undefined ? undefined : BigInt(`0x${hva}`),
      },
    ];
  });
}

type Found = Map<string, { address: bigint; how: string }>;

async function locateMapped(vm: QemuProcess, lines: readonly Line[], found: Found): Promise<void> {
  const ranges =
    /^\s*([0-9a-f]{16})-[0-9a-f]{16} \(prio -?\d+, (?:ram|rom|romd|nv-ram)\): (\S+)(?: @([0-9a-f]{16}))?/gmu;
  const seen = new Set<string>();
  for (const [, gpa = "0", region = "", offset = "0"] of (await vm.human("info mtree -f")).matchAll(ranges)) {
    const key = `${gpa} ${region} ${offset}`;
    const names = lines.filter(({ name }) => name === region || name.endsWith(`/${region}`));
    const name = names[0]?.name;
    if (name === undefined || names.length > 1 || found.has(name) || seen.has(key)) continue;
    seen.add(key);
    const hva = /is 0x([0-9a-f]+)|is (?:0x)?([0-9a-f]+)/u.exec(await vm.human(`gpa2hva 0x${gpa}`).catch(() => ""));
    const digits = hva?.[1] ?? hva?.[2];
    if (digits !== undefined)
      found.set(name, { address: BigInt(`0x${digits}`) - BigInt(`0x${offset}`), how: "gpa2hva" });
  }
}

/** The initial contents of some blocks that QEMU fills itself and rarely maps. */
const beginnings: readonly (readonly [RegExp, RegExp])[] = [
  [/^\/rom@etc\/acpi\/rsdp$/u, /^RSD PTR /u],
  [/^\/rom@etc\/table-loader$/u, /^.{4}etc\//su],
  [/^\/rom@etc\/acpi\/tables$/u, /^(?:FACS|DSDT)/u],
  [/\/[^/]+\.rom$/u, /^U\u00AA/u],
];

/** Blocks with a known beginning first: excluding their mappings makes the rest less ambiguous. */
function locateByMapping(vm: QemuProcess, lines: readonly Line[], found: Found): void {
  const taken = new Set([...found.values()].map(({ address }) => address));
  const free = guardedMappings(vm).filter(({ start }) => !taken.has(start));
  const beginning = (line: Line): RegExp | undefined => beginnings.find(([name]) => name.test(line.name))?.[1];
  const missing = lines.filter(({ name }) => !found.has(name));
  const known = missing.filter((line) => beginning(line) !== undefined);
  for (const line of [...known, ...missing.filter((item) => !known.includes(item))]) {
    const begins = beginning(line);
    const sized = free.filter(({ start, size }) => size === Math.ceil(line.total / 4096) * 4096 && !taken.has(start));
    const fitting = begins === undefined ? sized : sized.filter(({ start }) => begins.test(readStart(vm, start, 8)));
    const [first] = fitting;
    const rivals = missing.filter(({ name, total }) => total === line.total && !found.has(name)).length;
    if (first === undefined || (begins === undefined && rivals !== 1)) continue;
    const hashes = new Set(fitting.map(({ start }) => hashRange(vm, start, line.used)));
    if (hashes.size !== 1) continue;
    taken.add(first.start);
    const by = begins === undefined ? "its size" : "its size and first bytes";
    found.set(line.name, {
      address: first.start,
      how: `${fitting.length === 1 ? "only" : "one of the identical"} host mapping of ${by}`,
    });
  }
}

/** Private anonymous mappings that begin on 2 MiB and end at a guard page. */
function guardedMappings(vm: QemuProcess): { start: bigint; size: number }[] {
  const maps = readFileSync(`/proc/${vm.child.pid}/maps`, "utf8").split("\n");
  const rows = maps.flatMap((row) => {
    const match = /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ (\d+)/u.exec(row);
    if (match === null) return [];
    const [, from = "0", to = "0", mode = "", inode = ""] = match;
    return [{ start: BigInt(`0x${from}`), end: BigInt(`0x${to}`), mode, inode }];
  });
  return rows.flatMap((row, index) => {
    const next = rows[index + 1];
    const guarded = next !== undefined && next.start === row.end && next.mode.startsWith("---");
    return row.mode === "rw-p" && row.inode === "0" && row.start % 0x200000n === 0n && guarded
      ? [{ start: row.start, size: Number(row.end - row.start) }]
      : [];
  });
}

function readStart(vm: QemuProcess, start: bigint, length: number): string {
  let out = "";
  readProcess(vm, start, length, (bytes) => {
    out += bytes.toString("latin1");
  });
  return out;
}

function readProcess(vm: QemuProcess, address: bigint, length: number, take: (bytes: Buffer) => void): void {
  const file = openSync(`/proc/${vm.child.pid}/mem`, "r");
  const buffer = Buffer.alloc(Math.min(length, 1 << 20));
  try {
    for (let done = 0; done < length;) {
      const got = readSync(file, buffer, 0, Math.min(buffer.length, length - done), address + BigInt(done));
      take(buffer.subarray(0, got));
      done += got;
      if (got === 0) break;
    }
  } finally {
    closeSync(file);
  }
}

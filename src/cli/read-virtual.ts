import { hex } from "../bytes/errors.js";
import type { StatedPart } from "../guest/layout/stated-layout.js";
import type { IndexedPages } from "../guest/read/indexed-pages.js";
import { GuestMemory } from "../guest/read/open-memory.js";
import {
  readPart,
  readString,
  readVirtual,
  translate,
  virtualParts,
  type AddressSpace,
  type Mapped,
  type Translation,
} from "../guest/walk/index.js";
import { WritableSink } from "../io/transport/writable.js";
import { UsageError, type Arguments } from "./arguments.js";
import { HexLines } from "../bytes/hex-lines.js";
import { layoutIn } from "./memory.js";
import { printResult } from "./document.js";
import { delivered, print, printWarnings, safe, warn } from "./output.js";

/** How the bytes at a virtual address are shown. */
type Shown = "bytes" | "string" | "u64" | "translate";

/** What `qevm read --virtual` was asked for. */
export interface VirtualWanted {
  address: bigint;
  /** Number of the CPU; undefined: the first. */
  cpu: number | undefined;
  shown: Shown;
  length: number;
}

/** Bytes that `--json`, `--string` and `--u64` print at most. */
const MOST_TEXT = 16 << 20;
const LENGTHS: Record<Shown, number> = { bytes: 256, string: 4096, u64: 64, translate: 1 };

/** The options of `--virtual`; undefined without it. Errors: usage. */
export function virtualWanted(args: Arguments): VirtualWanted | undefined {
  const address = args.address("virtual");
  const ways = (["string", "u64", "translate"] as const).filter((name) => args.flag(name));
  const cpu = args.number("cpu", { min: 0, max: 0xffff_ffff });
  const [first, second] = ways;
  if (address === undefined) {
    const alone = first ?? (cpu === undefined ? undefined : "cpu");
    if (alone !== undefined) throw new UsageError(`--${alone} goes with --virtual`);
    return undefined;
  }
  if (args.text("offset") !== undefined) throw new UsageError("--offset goes with --block");
  if (second !== undefined) throw new UsageError(`--${first} and --${second} exclude each other`);
  const shown = first ?? "bytes";
  const most = shown === "bytes" && !args.flag("json") ? Number.MAX_SAFE_INTEGER : MOST_TEXT;
  const length = args.size("length", { min: 1, max: most }) ?? LENGTHS[shown];
  if (shown === "u64" && length % 8 !== 0) throw new UsageError("--u64 takes a --length of whole numbers: 8, 16, ...");
  if (args.flag("raw") && (shown === "u64" || shown === "translate"))
    throw new UsageError(`--raw and --${shown} exclude each other`);
  return { address, cpu, shown, length };
}

/** Prints what is at a virtual address. Returns the exit status: 1 for `--translate` of what is not mapped. */
export async function printVirtual(
  args: Arguments,
  opened: IndexedPages,
  { layout: stated, ...wanted }: VirtualWanted & { layout: readonly StatedPart[] | undefined },
): Promise<number> {
  const { pages } = opened;
  const told = pages.diagnostics.warnings.length;
  printWarnings(pages.diagnostics.warnings);
  const memory = new GuestMemory({ ...opened, layout: layoutIn(opened, stated) }, async () => {});
  const space = memory.addressSpace(wanted.cpu);
  const status = args.flag("json")
    ? await printDocument(space, memory, wanted, opened.index)
    : await printText(space, memory, wanted, args.flag("raw"));
  printWarnings(pages.diagnostics.warnings.slice(told));
  return Math.max(status, delivered(pages.diagnostics));
}

async function printText(
  space: AddressSpace,
  memory: GuestMemory,
  { address, shown, length }: VirtualWanted,
  raw: boolean,
): Promise<number> {
  if (shown === "translate") {
    const found = await translate(space, address);
    print(walkLines(address, space, found, memory));
    return found.physical === undefined ? 1 : 0;
  }
  if (shown === "u64") {
    const numbers = numbersIn(await readVirtual(space, address, length), space.littleEndian);
    print(numbers.map((value, k) => `${digits(address + BigInt(8 * k))}: 0x${digits(value)}  ${value}`));
    return 0;
  }
  const sink = new WritableSink(process.stdout, "standard output");
  if (shown === "string") {
    const { bytes, ended } = await readString(space, address, length);
    await sink.write(raw ? bytes : Buffer.from(`${safe(textOf(bytes))}\n`));
    if (!ended) warn(`no NUL in the first ${length} bytes`);
    return 0;
  }
  const lines = new HexLines(address);
  for await (const part of virtualParts(space, address, length)) {
    const bytes = await readPart(space, part);
    await sink.write(raw ? bytes : Buffer.from(lines.add(bytes), "latin1"));
  }
  if (!raw) await sink.write(Buffer.from(lines.end(), "latin1"));
  return 0;
}

async function printDocument(
  space: AddressSpace,
  memory: GuestMemory,
  { address, shown, length, cpu }: VirtualWanted,
  index: string | null,
): Promise<number> {
  const { machine, warnings } = memory;
  const head = { machine: machine ?? null, virtual: hex(address), cpu: cpu ?? memory.cpus[0]!.instance };
  const tail = { layout: memory.layout.how, index, warnings };
  if (shown === "translate") {
    const found = await translate(space, address);
    const { physical, fault, steps, ...rest } = found;
    const { pageSize: mappedPageSize, ...rights } = rest as Partial<Mapped>;
    const mapped = { mappedPageSize, ...rights };
    const at = physical === undefined ? {} : { physical: hex(physical), ...mapped, ...blockAt(memory, physical) };
    const shownSteps = steps.map(({ level, table, index: entryIndex, at: entryAt, entry, meaning }) => ({
      tableLevel: level,
      tableAddress: hex(table),
      entryIndex,
      entryAddress: hex(entryAt),
      entry: entry === undefined ? null : hex(entry),
      meaning,
    }));
    printResult({ ...head, mode: space.mode, fault: fault ?? null, ...at, steps: shownSteps, ...tail });
    return physical === undefined ? 1 : 0;
  }
  if (shown === "string") {
    const { bytes, ended } = await readString(space, address, length);
    const text = textOf(bytes);
    printResult({ ...head, mode: space.mode, string: text, ended, hex: Buffer.from(bytes).toString("hex"), ...tail });
    return 0;
  }
  const bytes = await readVirtual(space, address, length);
  const values = shown === "u64" ? { numbers: numbersIn(bytes, space.littleEndian) } : {};
  const shownBytes = Buffer.from(bytes).toString("hex");
  printResult({ ...head, mode: space.mode, length, ...values, hex: shownBytes, ...tail });
  return 0;
}

/** The RAM block at a physical address. */
function blockAt({ layout }: GuestMemory, physical: bigint): { block: string | null; blockOffset: number | null } {
  const at = Number(physical);
  const segment = layout.segments.find(({ start, length }) => start <= at && at < start + length);
  if (segment === undefined) return { block: null, blockOffset: null };
  return { block: segment.block, blockOffset: segment.offset + at - segment.start };
}

function walkLines(address: bigint, { mode }: AddressSpace, found: Translation, memory: GuestMemory): string[] {
  const lines = [`virtual ${hex(address)} (${mode})`];
  for (const { level, table, index, entry, meaning } of found.steps) {
    const value = entry === undefined ? "" : ` = ${hex(entry)}`;
    lines.push(`  ${level} at ${hex(table)}, entry ${index}${value}: ${meaning}`);
  }
  if (found.physical === undefined) return [...lines, `not mapped: ${found.fault}`];
  const { block, blockOffset: offset } = blockAt(memory, found.physical);
  const where =
    block === null ? "no memory of the guest" : `RAM block ${safe(JSON.stringify(block))} + ${hex(offset!)}`;
  return [...lines, `physical ${hex(found.physical)}: ${where}`];
}

function numbersIn(bytes: Uint8Array, little: boolean): bigint[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: bytes.length / 8 }, (_, k) => view.getBigUint64(8 * k, little));
}

/** UTF-8, or one character a byte where it is not that. */
function textOf(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString();
  return text.includes("\ufffd") ? Buffer.from(bytes).toString("latin1") : text;
}

/** 16 hexadecimal digits. */
function digits(value: bigint): string {
  return value.toString(16).padStart(16, "0");
}

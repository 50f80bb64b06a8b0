import type { GuestPages } from "../guest/read/guest-memory.js";
import type { IndexedPages } from "../guest/read/indexed-pages.js";
import type { Layout, Segment } from "../guest/layout-types.js";
import { blockRange, physicalRange, readParts } from "../guest/read/range.js";
import type { StatedPart } from "../guest/layout/stated-layout.js";
import { refuseTerminal } from "./out.js";
import { WritableSink } from "../io/transport/writable.js";
import { parse, UsageError, type Arguments } from "./arguments.js";
import { HexLines } from "../bytes/hex-lines.js";
import { layoutIn, statedLayout, withMemory } from "./memory.js";
import { printVirtual, virtualWanted, type VirtualWanted } from "./read-virtual.js";
import { hex } from "../bytes/errors.js";
import { printResult, shownSegments } from "./document.js";
import { delivered, printWarnings } from "./output.js";

/** Maximum number of bytes that `--json` prints. */
const MOST_JSON = 16 << 20;

/** The requested range: of addresses or of one block. */
interface Wanted {
  virtual: VirtualWanted | undefined;
  physical: number | undefined;
  block: string | undefined;
  /** Address, or offset in the block. */
  start: number;
  length: number;
  /** From `--layout`; undefined: determined from the stream. */
  layout: readonly StatedPart[] | undefined;
}

/** `qevm read FILE --physical ADDRESS|--virtual ADDRESS|--block NAME --offset N --length N`. */
export async function run(argv: string[]): Promise<number> {
  const args = parse("read", argv, [1, 1], "one FILE");
  const wanted = wantedRange(args);
  const [file] = args.positionals as [string];
  return await withMemory(args, file, wanted.block === undefined, async (opened) =>
    wanted.virtual === undefined
      ? await print(args, opened, wanted)
      : await printVirtual(args, opened, { ...wanted.virtual, layout: wanted.layout }),
  );
}

function wantedRange(args: Arguments): Wanted {
  const most = Number.MAX_SAFE_INTEGER;
  const physical = args.size("physical", { min: 0, max: most });
  const block = args.text("block");
  const offset = args.size("offset", { min: 0, max: most });
  const places = [physical, block, args.text("virtual")].filter((one) => one !== undefined);
  if (places.length !== 1) throw new UsageError("--physical, --virtual or --block says where");
  if (physical !== undefined && offset !== undefined) throw new UsageError("--offset goes with --block");
  if (block !== undefined && args.text("layout") !== undefined)
    throw new UsageError("--layout goes with --physical and --virtual");
  const virtual = virtualWanted(args);
  const length = args.size("length", { min: 1, max: most }) ?? 256;
  if (args.flag("json") && length > MOST_JSON) throw new UsageError(`--json prints at most ${MOST_JSON} bytes`);
  if (args.flag("raw")) refuseTerminal(process.stdout, "redirect it (> FILE), or leave --raw out for hex");
  if (args.flag("json") && args.flag("raw")) throw new UsageError("--json and --raw exclude each other");
  return { virtual, physical, block, start: physical ?? offset ?? 0, length, layout: statedLayout(args) };
}

async function print(args: Arguments, opened: IndexedPages, wanted: Wanted): Promise<number> {
  const { pages, index } = opened;
  const { diagnostics } = pages;
  const told = diagnostics.warnings.length;
  printWarnings(diagnostics.warnings);
  const { start, length, physical, block, layout: stated } = wanted;
  const layout = physical === undefined ? undefined : layoutIn(opened, stated);
  const parts =
    layout === undefined ? blockRange(pages.blocks, block!, start, length) : physicalRange(layout, start, length);
  if (args.flag("json")) {
    await printDocument(pages, parts, { physical: physical ?? null, length, layout, index });
    printWarnings(diagnostics.warnings.slice(told));
    return delivered(diagnostics);
  }
  const sink = new WritableSink(process.stdout, "standard output");
  const lines = new HexLines(start);
  for await (const bytes of readParts(pages, parts, layout?.vga)) {
    await sink.write(args.flag("raw") ? bytes : Buffer.from(lines.add(bytes), "latin1"));
  }
  if (!args.flag("raw")) await sink.write(Buffer.from(lines.end(), "latin1"));
  printWarnings(diagnostics.warnings.slice(told));
  return delivered(diagnostics);
}

async function printDocument(
  pages: GuestPages,
  parts: readonly Segment[],
  {
    layout,
    physical,
    ...more
  }: { physical: number | null; length: number; layout: Layout | undefined; index: string | null },
): Promise<void> {
  const bytes: string[] = [];
  for await (const piece of readParts(pages, parts, layout?.vga)) bytes.push(Buffer.from(piece).toString("hex"));
  const { machine, diagnostics } = pages;
  const { warnings, passedOver } = diagnostics;
  printResult({
    machine: machine ?? null,
    ...more,
    physical: physical === null ? null : hex(physical),
    layout: layout?.how ?? null,
    segments: shownSegments(parts),
    hex: bytes.join(""),
    warnings,
    passedOver,
  });
}

import { isRandom, type ByteSource } from "../bytes/source.js";
import { layoutOf } from "../guest/read/guest-memory.js";
import { variantOf, type IndexedPages } from "../guest/read/indexed-pages.js";
import { openPages } from "../guest/read/open-memory.js";
import type { Layout } from "../guest/layout-types.js";
import { parseLayout, stateLayout, type StatedPart } from "../guest/layout/stated-layout.js";
import { openFile } from "./document.js";
import { inputOptions, streamOptions, UsageError, type Arguments } from "./arguments.js";
import { safe, tell, withProgress } from "./output.js";

/**
 * Opens the memory of FILE for as long as `work` runs, by `--index` where it is given.
 * @param devices whether the device state is read, too: the layout needs it
 */
export async function withMemory<T>(
  args: Arguments,
  file: string,
  devices: boolean,
  work: (opened: IndexedPages) => Promise<T>,
): Promise<T> {
  const input = await openFile(file, inputOptions(args));
  const source = withProgress(input, "scanning");
  try {
    const variant = variantOf(input.containers, await streamOptions(args), args.list("schema"));
    const opened = await open(args, source, { file, variant, devices });
    source.done();
    try {
      return await work(opened);
    } finally {
      opened.pages.close();
    }
  } finally {
    source.done();
    await source.close?.();
  }
}

async function open(
  args: Arguments,
  source: ByteSource,
  { file, variant, devices }: { file: string; variant: string; devices: boolean },
): Promise<IndexedPages> {
  const options = { ...(await streamOptions(args)), devices };
  const index = args.text("index");
  if (index === undefined) return await openPages(source, options);
  if (file === "-" || !isRandom(source)) throw new UsageError("--index is for files that can be read anywhere");
  return await openPages(source, options, { file, index, variant, say: tell });
}

/** The parts that `--layout` states; undefined without it. Errors: usage. */
export function statedLayout(args: Arguments): readonly StatedPart[] | undefined {
  const text = args.text("layout");
  return text === undefined ? undefined : parseLayout(text);
}

/** The layout that `--layout` states, or that of the stream; guesses are told. Errors: usage, unsupported. */
export function layoutIn({ pages, layout: known }: IndexedPages, stated: readonly StatedPart[] | undefined): Layout {
  const layout = stated === undefined ? (known ?? layoutOf(pages)) : stateLayout(stated, pages.blocks);
  for (const line of layout.how) if (line.startsWith("guess")) tell(`layout: ${safe(line)}`);
  return layout;
}

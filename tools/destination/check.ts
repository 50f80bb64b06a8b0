/** Loads a fresh capture in a real destination and compares the two. */
import type { Entry } from "../capture/entry.js";
import type { QemuBinary } from "../qemu/find.js";
import { compare, type Comparison, type Expected } from "./compare.js";
import { type DestinationOptions, type LoadResult, startDestination } from "./destination.js";
import type { QemuProcess } from "../qemu/process.js";
import { inOrder, pluggedIn } from "./like.js";

/** The destination's result; the comparison is empty when it did not load. */
export type LoadCheck = Omit<LoadResult, "code"> & Omit<Comparison, "runState"> & { readonly runState: string | null };

/** Differences from the usual check. */
export interface CheckOptions {
  /** Default: through a pipe. */
  readonly from?: DestinationOptions["from"];
  /** Called with the machine after the load. */
  readonly look?: (vm: QemuProcess) => Promise<void> | void;
}

/**
 * Runs the entry's own QEMU as the destination, with the files as the source left them. Does not reject because of the
 * stream.
 */
export async function checkLoad(
  qemu: QemuBinary,
  entry: Entry,
  stream: Uint8Array,
  expected: Expected,
  files: Readonly<Record<string, Uint8Array>>,
  { from = "exec", look }: CheckOptions = {},
): Promise<LoadCheck> {
  const { args, capabilities, steps } = entry;
  const before = pluggedIn(steps);
  const { vm, result } = await startDestination({
    qemu,
    args,
    capabilities,
    files,
    before,
    stream,
    from,
    ...inOrder(capabilities),
  });
  try {
    const { loaded, status, error, signal } = result;
    const nothing = { runState: null, equalBlocks: [], differentBlocks: [], pmemsaveEqual: null, registersEqual: null };
    const found = loaded ? await compare(vm, expected) : nothing;
    if (loaded) await look?.(vm);
    return { loaded, status, error, signal, ...found };
  } finally {
    await vm.close();
  }
}

/** Loads a fresh capture into a real destination and compares it with what the source held. */
import type { Entry } from "../capture/entry.js";
import type { QemuBinary } from "../qemu/find.js";
import { compare, type Comparison, type Expected } from "./compare.js";
import { type LoadResult, startDestination } from "./destination.js";
import { pluggedIn } from "./like.js";

/** What a destination made of a stream; the comparison is empty when it did not load. */
export type LoadCheck = Omit<LoadResult, "code"> & Omit<Comparison, "runState"> & { readonly runState: string | null };

/** Runs the entry's own QEMU as destination, with the files as the source left them. Never rejects because of the stream. */
export async function checkLoad(
  qemu: QemuBinary,
  entry: Entry,
  stream: Uint8Array,
  expected: Expected,
  files: Readonly<Record<string, Uint8Array>>,
): Promise<LoadCheck> {
  const { args, capabilities, steps } = entry;
  const { vm, result } = await startDestination({ qemu, args, capabilities, files, before: pluggedIn(steps), stream });
  try {
    const { loaded, status, error, signal } = result;
    const nothing = { runState: null, equalBlocks: [], differentBlocks: [], pmemsaveEqual: null, registersEqual: null };
    return { loaded, status, error, signal, ...(loaded ? await compare(vm, expected) : nothing) };
  } finally {
    await vm.close();
  }
}

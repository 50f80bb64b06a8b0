import { derive } from "../../bytes/source.js";
import {
  canOpenAgain,
  openingOf,
  openInput,
  withInput,
  type OpenOptions,
  type StreamInput,
} from "../../io/container/input.js";
import { canReopen } from "../../io/transport/file.js";
import { readableAgain } from "../../io/transport/spool.js";
import type { Reopened } from "./adapt.js";

/** Does something with an input that can be opened more than once; it is kept in a file where that is needed. */
export async function withReopened<T>(
  input: StreamInput,
  options: OpenOptions,
  work: (one: Reopened) => Promise<T>,
): Promise<T> {
  const again = typeof input === "string" ? canReopen(input) : canOpenAgain(input);
  if (again) return await work({ open: () => openInput(input, openingOf(options)) });
  return await withInput(input, options, async (source) => {
    const copy = readableAgain(source);
    try {
      return await work({
        open: () => {
          copy.rewind();
          return { ...derive(copy.source, (into) => copy.source.read(into)), close: () => undefined };
        },
      });
    } finally {
      copy.close();
    }
  });
}

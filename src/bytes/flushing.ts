import type { ByteSource } from "./source.js";

/** A source that has everything written so far sent out before it waits for more input. */
export function flushing(source: ByteSource, writer: { flush(): void | Promise<void> }): ByteSource {
  // Not `readAt`, `seek` and `readAhead`, which would not go through `read`.
  const { length, offset, within, stored, warnings, containers } = source;
  return {
    length,
    offset,
    within,
    stored,
    warnings,
    containers,
    diagnostics: () => source.diagnostics?.(),
    read: (into) => {
      const got = source.read(into);
      if (typeof got === "number") return got;
      return Promise.all([got, writer.flush()]).then(([n]) => n);
    },
    close: () => source.close?.(),
  };
}

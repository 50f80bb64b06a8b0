import { forward, type ByteSource } from "./source.js";

/** A source that has everything written so far sent out before it waits for more input. */
export function flushing(source: ByteSource, writer: { flush(): void | Promise<void> }): ByteSource {
  const { length } = source;
  const read: ByteSource["read"] = (into) => {
    const got = source.read(into);
    if (typeof got === "number") return got;
    return Promise.all([got, writer.flush()]).then(([n]) => n);
  };
  return { ...forward(source, read), length, close: () => source.close?.() };
}

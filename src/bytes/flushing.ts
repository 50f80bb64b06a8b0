import { derive, type ByteSource } from "./source.js";

/** A source that has everything written so far sent out before it waits for more input. */
export function flushing(source: ByteSource, writer: { flush(): void | Promise<void> }): ByteSource {
  const {
    readAt: _at,
    seek: _seek,
    readAhead: _ahead,
    ...rest
  } = derive(source, (into) => {
    const got = source.read(into);
    if (typeof got === "number") return got;
    return Promise.all([got, writer.flush()]).then(([n]) => n);
  }) as ByteSource & { readAt?: unknown };
  return rest;
}

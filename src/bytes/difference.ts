/** Index of the first byte that only one has or that is not the same; undefined: there is none. */
export function differsAt(a: Uint8Array, b: Uint8Array): number | undefined {
  // Node's is a hundred times as fast as a loop, for what is the same.
  if (a.length === b.length && globalThis.Buffer?.compare(a, b) === 0) return undefined;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i;
  return a.length === b.length ? undefined : length;
}

/** Formats sizes, counts and names from a stream for people. */

/** `103.2 MB`: decimal units, for files. */
export function fileSize(bytes: number): string {
  return scaled(bytes, 1000, ["bytes", "kB", "MB", "GB", "TB", "PB"]);
}

/** `177.3 MiB`: binary units, for memory. */
export function memorySize(bytes: number): string {
  return scaled(bytes, 1024, ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"]);
}

/** One decimal, unless it is 0. A value that would round to 1000 of a unit becomes 1 of the next. */
function scaled(bytes: number, step: number, units: readonly string[]): string {
  let value = bytes;
  let unit = 0;
  while (rounded(value) >= step && unit < units.length - 1) {
    value /= step;
    unit++;
  }
  return `${rounded(value)} ${units[unit]}`;
}

function rounded(value: number): number {
  return Number(value.toFixed(1));
}

/** `24,980`; `-` for 0. (`toLocaleString` takes 14 ms at its first use.) */
export function count(n: number): string {
  return n === 0 ? "-" : grouped(n);
}

/** `24,980`, and `0`. */
export function grouped(n: number): string {
  return String(n).replaceAll(/\B(?=(\d{3})+$)/g, ",");
}

/** `00ff`: two hexadecimal digits a byte. */
export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The bytes of hexadecimal digits, up to the first pair that is none. */
export function bytesOfHex(digits: string): Uint8Array {
  const [pairs = ""] = /^(?:[0-9a-f]{2})*/iu.exec(digits) ?? [];
  return Uint8Array.from({ length: pairs.length / 2 }, (_, k) => Number.parseInt(pairs.slice(2 * k, 2 * k + 2), 16));
}

/** Escapes a name from a stream for a terminal: control characters and bytes beyond ASCII. */
export function safe(name: string): string {
  return name.replace(/[^\x20-\x7e]/g, escaped);
}

/** `\x1b`. */
export function escaped(c: string): string {
  return `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`;
}

/** An integer of a stream, in the one base that reports and `generate --set` share: `0x40`, `-0x1`. */
export function numberText(value: number | bigint): string {
  return value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

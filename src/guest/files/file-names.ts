/** Maximum length of a file name in characters; every common file system supports 255 bytes. */
const LONGEST = 200;

/**
 * File names for names from a stream. A name on the wire is up to 255 arbitrary bytes (`../../x`, control characters,
 * `/`). The result is one plain file name, the same for equal names and different for different names.
 */
export class FileNames {
  private readonly taken: Set<string>;
  /** The number that the next name of this plain form is tried with. */
  private readonly numbers = new Map<string, number>();

  /** @param reserved names that must not be used */
  constructor(reserved: readonly string[] = []) {
    this.taken = new Set(reserved.map((name) => name.toLowerCase()));
  }

  claim(name: string): string {
    const plain = plainName(name);
    let candidate = plain;
    if (this.taken.has(plain.toLowerCase())) {
      let n = this.numbers.get(plain.toLowerCase()) ?? 2;
      do candidate = `${plain}~${n++}`;
      while (this.taken.has(candidate.toLowerCase()));
      this.numbers.set(plain.toLowerCase(), n);
    }
    this.taken.add(candidate.toLowerCase());
    return candidate;
  }
}

/** Names of devices of Windows, which are no files there, with any extension. */
const DEVICE = /^(?:CON|PRN|AUX|NUL|COM\d|LPT\d)(?:\.|$)/iu;

/**
 * Keeps letters, digits and `._-@+`; everything else becomes %XX, and so do a dot at the beginning or end and the first
 * letter of a name that Windows has for a device. So the name is good on every system, and `%XX` decoded gives the name
 * of the stream again; `~` marks what is cut or was taken already.
 */
export function plainName(name: string): string {
  let plain = name.replace(/[^A-Za-z0-9._\-@+]/gu, percent).replace(/^\.|\.$/gu, percent);
  if (DEVICE.test(plain)) plain = percent(plain.slice(0, 1)) + plain.slice(1);
  if (plain === "") plain = "%";
  return plain.length > LONGEST ? `${plain.slice(0, LONGEST)}~` : plain;
}

function percent(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
}

/**
 * Every refusal has an address: a typed error with the byte offset, the path to the place, what was found and what was
 * expected. Anything that a decoder may only pass over in lenient mode goes through {@link Diagnostics}.
 */

/** Stable codes: scripts and tests may rely on them. */
export type ErrorCode =
  /** The input ends inside a structure. */
  | "truncated"
  /** A magic number, marker or fixed field holds another value. */
  | "bad-magic"
  /** A version that this codec (and QEMU's loader) does not accept. */
  | "unsupported-version"
  /** A type byte, flag combination or command number that does not exist. */
  | "unknown-type"
  /** Something named in the stream was never introduced (section id, RAM block, base page). */
  | "unknown-reference"
  /** A length, count or sum that contradicts the rest of the stream. */
  | "bad-length"
  /** An offset outside what it points into. */
  | "bad-offset"
  /** A field whose value the format forbids. */
  | "bad-value"
  /** A section footer that is missing or names another section. */
  | "bad-footer"
  /** Compressed data that do not inflate to exactly one page. */
  | "bad-compressed-data"
  /** An XBZRLE payload that breaks its grammar. */
  | "bad-xbzrle"
  /** A VMDESCRIPTION or manifest that is not what it should be. */
  | "bad-description"
  /** A limit of this decoder was reached before memory was taken. */
  | "limit"
  /** A value that does not fit the field it is meant for (encoding). */
  | "does-not-fit"
  /** Reading or writing failed outside the format (file system, socket). */
  | "io"
  /** The caller asked for something that cannot be done (wrong arguments, wrong order of calls). */
  | "usage"
  /** Understood, but this program has no codec for it. */
  | "unsupported";

/** Where and what, beside the message. */
export interface ErrorPlace {
  /** Absolute byte offset in the input; undefined where there is no input (encoding, usage). */
  offset?: number | undefined;
  /** Steps from the outside in, for example `['section 3 "ram"', 'page record 812']`. */
  path?: readonly string[] | undefined;
  expected?: string | undefined;
  found?: string | undefined;
  cause?: unknown;
}

/**
 * The one error class of this library. Anything else that escapes is a bug.
 * @example
 * try {
 *   await verifyStream(bytes);
 * } catch (error) {
 *   if (error instanceof QevmError) console.log(error.code, error.offset, error.path, error.what);
 * }
 */
export class QevmError extends Error {
  override readonly name = "QevmError";
  readonly code: ErrorCode;
  readonly offset: number | undefined;
  readonly path: readonly string[];
  readonly expected: string | undefined;
  readonly found: string | undefined;
  /** The message without its address. */
  readonly what: string;

  constructor(code: ErrorCode, what: string, place: ErrorPlace = {}) {
    super(describe(what, place), place.cause === undefined ? undefined : { cause: place.cause });
    this.code = code;
    this.what = what;
    this.offset = place.offset;
    this.path = place.path ?? [];
    this.expected = place.expected;
    this.found = place.found;
  }

  /** The error as plain data, for `--json`. */
  toJSON(): Record<string, unknown> {
    return {
      code: this.code,
      message: this.what,
      offset: this.offset,
      path: this.path,
      expected: this.expected,
      found: this.found,
    };
  }
}

/** `0x1a5ae3d`: how offsets are printed everywhere. */
export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

function describe(what: string, place: ErrorPlace): string {
  const where: string[] = [];
  if (place.offset !== undefined) where.push(`at byte ${hex(place.offset)}`);
  if (place.path !== undefined && place.path.length > 0) where.push(place.path.join(" > "));
  let text = where.length > 0 ? `${where.join(", ")}: ${what}` : what;
  if (place.expected !== undefined && place.found !== undefined) {
    text += ` (expected ${place.expected}, found ${place.found})`;
  } else if (place.expected !== undefined) {
    text += ` (expected ${place.expected})`;
  } else if (place.found !== undefined) {
    text += ` (found ${place.found})`;
  }
  return text;
}

/** What lenient mode put in the place of a page that could not be had. */
export interface Replaced {
  block: string;
  /** Offset of the page in its block, in bytes. */
  page: number;
  /** In plain words. */
  by: string;
}

/** An anomaly that was passed over. */
export interface Warning {
  code: ErrorCode;
  message: string;
  offset: number | undefined;
  path: readonly string[];
  /** Only where something else was put in the place of what was damaged. */
  replaced?: Replaced;
}

/** One severity policy: the same anomaly is an error when strict and a warning when lenient. */
export class Diagnostics {
  readonly lenient: boolean;
  readonly warnings: Warning[] = [];
  /** Warnings beyond `maxWarnings` are counted, not kept: a hostile stream must not fill memory with them. */
  dropped = 0;
  /** Anomalies that lenient mode passed over: what was read is not what the stream should hold. */
  passedOver = 0;
  private readonly maxWarnings: number;

  constructor(options: { lenient?: boolean; maxWarnings?: number } = {}) {
    this.lenient = options.lenient ?? false;
    this.maxWarnings = options.maxWarnings ?? 10_000;
  }

  /** Strict: throws. Lenient: remembers, and the caller goes on. */
  anomaly(error: QevmError, replaced?: Replaced): void {
    if (!this.lenient) throw error;
    this.passedOver++;
    this.warn(error, replaced);
  }

  /**
   * Takes over the warnings of who made the bytes that are read here: what is missing of a recording's channels, which
   * like the end of a cut stream is told and does not count as passed over.
   */
  absorb(other: Diagnostics): void {
    this.dropped += other.dropped;
    for (const warning of other.warnings) {
      if (this.warnings.length < this.maxWarnings) this.warnings.push(warning);
      else this.dropped++;
    }
  }

  /** Remembers in both modes. */
  warn(error: QevmError, replaced?: Replaced): void {
    if (this.warnings.length >= this.maxWarnings) {
      this.dropped++;
      return;
    }
    const { code, what: message, offset, path } = error;
    this.warnings.push({ code, message, offset, path, ...(replaced === undefined ? {} : { replaced }) });
  }
}

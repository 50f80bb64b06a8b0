/**
 * The error class of this library: a code, the byte offset, the path, what was expected and what was found. An anomaly
 * that lenient mode may skip goes through {@link Diagnostics}.
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
  /** A section id, RAM block or base page that the stream did not introduce before. */
  | "unknown-reference"
  /** A length, count or sum that contradicts the rest of the stream. */
  | "bad-length"
  /** An offset outside what it points into. */
  | "bad-offset"
  /** A field whose value the format forbids. */
  | "bad-value"
  /** A section footer that is missing or names another section. */
  | "bad-footer"
  /** Compressed data that does not inflate to exactly one page. */
  | "bad-compressed-data"
  /** An XBZRLE payload that breaks its grammar. */
  | "bad-xbzrle"
  /** A VMDESCRIPTION or manifest that is malformed. */
  | "bad-description"
  /** A limit of this decoder was reached. It is checked before memory is allocated. */
  | "limit"
  /** A value that does not fit the field it is meant for (encoding). */
  | "does-not-fit"
  /** Reading or writing failed outside the format (file system, socket). */
  | "io"
  /** Wrong arguments, or calls in the wrong order. */
  | "usage"
  /** Valid, but this program has no codec for it. */
  | "unsupported";

/** Details of an error beside its message. */
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
 * The only error class of this library. Any other exception is a bug.
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
  /** The message without offset and path. */
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
      streamOffset: this.offset,
      path: this.path,
      expected: this.expected,
      found: this.found,
    };
  }
}

/** Formats an offset as all messages print it: `0x1a5ae3d`. */
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

/** The replacement that lenient mode used for a page that could not be decoded. */
export interface Replaced {
  block: string;
  /** Offset of the page in its block, in bytes. */
  blockOffset: number;
  /** Description of the replacement, for people. */
  by: string;
}

/** What is odd, or was skipped. */
export interface Warning {
  code: ErrorCode;
  message: string;
  offset: number | undefined;
  path: readonly string[];
  /** Set where lenient mode passed over it: content is missing, or something else is in its place. */
  skipped?: true;
  /** Set only where a damaged page was replaced. */
  replaced?: Replaced;
}

/** The severity policy: an anomaly is an error when strict and a warning when lenient. */
export class Diagnostics {
  readonly lenient: boolean;
  readonly warnings: Warning[] = [];
  /** Number of warnings beyond `maxWarnings`. They are counted but not kept, so a hostile stream cannot fill memory. */
  dropped = 0;
  /** How often lenient mode skipped something, a cut end included. If it is not 0, the decoded content is incomplete. */
  passedOver = 0;
  private readonly maxWarnings: number;

  constructor(options: { lenient?: boolean; maxWarnings?: number } = {}) {
    this.lenient = options.lenient ?? false;
    this.maxWarnings = options.maxWarnings ?? 10_000;
  }

  /** Strict: throws. Lenient: records a warning and returns. */
  anomaly(error: QevmError, replaced?: Replaced): void {
    if (!this.lenient) throw error;
    this.passOver(error, replaced);
  }

  /** Records that content is missing, or something else in its place. */
  passOver(error: QevmError, replaced?: Replaced): void {
    this.passedOver++;
    this.warn(error, replaced, true);
  }

  /**
   * Adds the warnings of an earlier step that made these bytes, e.g. missing packets of a recording's channels, and what
   * was skipped there.
   */
  absorb(other: Diagnostics): void {
    this.dropped += other.dropped;
    this.passedOver += other.passedOver;
    for (const warning of other.warnings) {
      if (this.warnings.length < this.maxWarnings) this.warnings.push(warning);
      else this.dropped++;
    }
  }

  /** Records a warning in both modes. */
  warn(error: QevmError, replaced?: Replaced, skipped = false): void {
    if (this.warnings.length >= this.maxWarnings) {
      this.dropped++;
      return;
    }
    const { code, what: message, offset, path } = error;
    this.warnings.push({
      code,
      message,
      offset,
      path,
      ...(skipped ? { skipped: true } : {}),
      ...(replaced === undefined ? {} : { replaced }),
    });
  }
}

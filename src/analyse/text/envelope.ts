import type { ErrorCode, QevmError, Warning } from "../../bytes/errors.js";

/** What a document is about. */
export interface About {
  /** Version of this program. */
  qevm: string;
  /** Name and version of the result's schema: `inspect/1`, which is `qevm/schema/inspect.json`. */
  schema: string;
  /** The input as it was named, `-` for standard input; null: none, or more than one. */
  file: string | null;
  /** What the stream comes wrapped in, as `containerName` says it; null: nothing, or it was not opened. */
  container: string | null;
}

/** Something odd that costs nothing. */
interface Notice {
  code: ErrorCode;
  message: string;
  /** Absent: nowhere in the stream. */
  streamOffset?: number | undefined;
  path: readonly string[];
}

/** What lenient mode passed over, or put something else in the place of. */
interface DamageNotice extends Notice {
  /** A page's RAM block; only where a page was replaced, as the following. */
  block?: string;
  blockOffset?: number;
  /** What is there instead, in words. */
  replacedBy?: string;
}

/** The error of a document without a result. */
interface ErrorDocument extends Notice {
  expected?: string | undefined;
  found?: string | undefined;
  /** `diff`: in which of the two. */
  side?: "a" | "b" | undefined;
}

/** The envelope around everything that the commands print as JSON. */
export interface Envelope extends About {
  warnings: Notice[];
  damage: DamageNotice[];
  /** How much damage there is, where `damage` has no room for all of it. */
  damageCount?: number;
  /** null: there is no answer, and `error` says why. */
  result: object | null;
  error?: ErrorDocument;
}

/** What was noticed on the way to a result. */
export interface Told {
  warnings?: readonly Warning[];
  /** As `Diagnostics` counts it. */
  passedOver?: number;
}

/**
 * A result in its envelope. Warnings are taken out of the result, and those of lenient mode become `damage`.
 * @param told where the result has no `warnings` of its own
 */
export function envelope(about: About, result: object, told: Told = result): Envelope {
  const { warnings: _, passedOver: _passedOver, ...own } = result as Told;
  const warnings: Notice[] = [];
  const damage: DamageNotice[] = [];
  for (const one of told.warnings ?? []) {
    if (one.skipped === true) damage.push(damageNotice(one));
    else warnings.push(notice(one));
  }
  const count = told.passedOver ?? 0;
  return { ...head(about), warnings, damage, ...(count > damage.length ? { damageCount: count } : {}), result: own };
}

/** The envelope of an error: there is no result. */
export function errorEnvelope(about: About, error: ErrorDocument): Envelope {
  return { ...head(about), warnings: [], damage: [], result: null, error };
}

/** An error as data. */
export function errorDocument({ code, what, offset, path, expected, found }: QevmError): ErrorDocument {
  return { code, message: what, streamOffset: offset, path, expected, found };
}

function head({ qevm, schema, file, container }: About): About {
  return { qevm, schema, file, container };
}

function notice({ code, message, offset, path }: Warning): Notice {
  return { code, message, streamOffset: offset, path };
}

function damageNotice(one: Warning): DamageNotice {
  const { replaced } = one;
  if (replaced === undefined) return notice(one);
  return { ...notice(one), block: replaced.block, blockOffset: replaced.blockOffset, replacedBy: replaced.by };
}

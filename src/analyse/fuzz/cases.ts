import { QevmError } from "../../bytes/errors.js";
import { Work, type DamageKind } from "./damage.js";
import { BYTE_KINDS } from "./kinds/bytes.js";
import { CHANNEL_KINDS } from "./kinds/channels.js";
import { DESCRIPTION_KINDS } from "./kinds/description.js";
import { DEVICE_KINDS } from "./kinds/device.js";
import { MAPPED_RAM_KINDS } from "./kinds/mapped-ram.js";
import { RAM_KINDS } from "./kinds/ram.js";
import { STREAM_KINDS } from "./kinds/stream.js";
import { join, type Parts } from "./parts.js";
import { Random } from "./random.js";

/** Every kind of damage, the framing first. */
export const KINDS: readonly DamageKind[] = [
  ...STREAM_KINDS,
  ...RAM_KINDS,
  ...DEVICE_KINDS,
  ...DESCRIPTION_KINDS,
  ...MAPPED_RAM_KINDS,
  ...CHANNEL_KINDS,
  ...BYTE_KINDS,
];

/** One wrong stream. */
export interface FuzzCase {
  readonly seed: number;
  readonly bytes: Uint8Array;
  /** Names of the kinds of damage, in the order in which they were done. */
  readonly kinds: readonly string[];
  /** One line: what was done. */
  readonly did: string;
}

/** Which kinds of damage a case may have. */
export interface CaseOptions {
  /** Only these kinds. Default: all. */
  kinds?: readonly DamageKind[] | undefined;
  /** Keep lengths, sums and footers right around the damage. Default: in every other case, by the seed. */
  repair?: boolean | undefined;
}

/** The kinds whose names begin with one of `names`. Errors: usage where a name fits none. */
export function kindsNamed(names: readonly string[]): DamageKind[] {
  for (const name of names) {
    if (KINDS.some((kind) => kind.name.startsWith(name))) continue;
    const groups = [...new Set(KINDS.map((kind) => kind.name.split("-")[0]))].join(", ");
    throw new QevmError("usage", `no kind of damage begins with ${JSON.stringify(name)}; they begin with ${groups}`);
  }
  return KINDS.filter((kind) => names.some((name) => kind.name.startsWith(name)));
}

/**
 * The case of a seed: one kind of damage, in one case of four a few on top of each other. The same base, seed and
 * options give the same bytes everywhere. A kind that finds nothing to damage gives way to another; with none left the
 * base is returned unchanged.
 */
export function makeCase(base: Parts, seed: number, options: CaseOptions = {}): FuzzCase {
  const random = new Random(seed);
  const repair = options.repair ?? random.once(2);
  const work = new Work(base, random, repair);
  const candidates = options.kinds ?? KINDS;
  const wanted = random.once(4) ? 2 + random.below(3) : 1;
  const kinds: string[] = [];
  const lines: string[] = [];
  for (let tries = 0; kinds.length < wanted && tries < 50; tries++) {
    const kind = random.pick(candidates);
    const did = kind.apply(work);
    if (did === undefined) continue;
    kinds.push(kind.name);
    lines.push(did);
  }
  const did = lines.length === 0 ? "nothing to damage" : `${lines.join("; ")}${repair ? " (repaired)" : ""}`;
  return { seed, bytes: join(work.list), kinds, did };
}

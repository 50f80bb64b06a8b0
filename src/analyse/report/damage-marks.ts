import type { QevmError } from "../../bytes/errors.js";
import type { Damage } from "../explain/index.js";

/** Damage at a page, to be marked on the map of its block. */
export interface DamageMark {
  block: string;
  /** Bytes from the beginning of the block. */
  offset: number;
  /** What is wrong there. */
  what: string;
}

/** Marks of one report at most. */
const MOST_MARKS = 200;

/**
 * The pages that damage is at: those that an error names, and where reading ended inside RAM, the last page that was
 * read.
 * @param last the last page of the stream; undefined: none was read
 */
export function damageMarks(
  damage: readonly Damage[],
  complete: boolean,
  last: { block: string; offset: number } | undefined,
): DamageMark[] {
  const marks: DamageMark[] = [];
  for (const { error } of damage.slice(0, MOST_MARKS)) {
    const page = pageOf(error);
    if (page !== undefined) marks.push({ ...page, what: error.what });
    else if (!complete && last !== undefined && /^section \d+ "ram"$/u.test(error.path[0] ?? ""))
      marks.push({ ...last, what: `reading ended after this page: ${error.what}` });
  }
  return marks;
}

/** The page that the path of an error names (`page of "pc.ram" at 0x274000`). */
function pageOf({ path }: QevmError): { block: string; offset: number } | undefined {
  for (const step of path) {
    const [, name, digits] = /^page of (".*") at 0x([0-9a-f]+)$/su.exec(step) ?? [];
    if (name !== undefined) return { block: JSON.parse(name) as string, offset: Number.parseInt(digits!, 16) };
  }
  return undefined;
}

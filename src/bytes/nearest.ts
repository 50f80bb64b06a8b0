/** Maximum edit distance to a suggested name. */
const FARTHEST = 2;

/**
 * The candidate closest to a mistyped name, as `; did you mean X?`; empty where none is close. Case does not count, and
 * the last part of a name is enough (`e1000` for `0000:00:03.0/e1000`) where no whole name is close.
 */
export function didYouMean(name: string, candidates: readonly string[]): string {
  const typed = name.toLowerCase();
  let best: string | undefined;
  let least = Math.min(FARTHEST, Math.floor(name.length / 2)) + 1;
  for (const candidate of candidates) {
    const whole = candidate.toLowerCase();
    const edits = typed === whole ? 0 : Math.min(distance(typed, whole), endsIn(whole, typed) ? 1 : Infinity);
    if (edits < least) [best, least] = [candidate, edits];
  }
  return best === undefined ? "" : `; did you mean ${best}?`;
}

function endsIn(whole: string, part: string): boolean {
  return part.length > 1 && (whole.endsWith(`/${part}`) || whole.includes(`/${part}/`));
}

/** Levenshtein distance: inserted, deleted or replaced letters; what is farther than a suggestion may be is Infinity. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > FARTHEST) return Infinity;
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}

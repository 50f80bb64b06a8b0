/** Maximum edit distance to a suggested name. */
const FARTHEST = 2;

/** The candidate closest to a mistyped name, as `; did you mean X?`; empty where none is close. */
export function didYouMean(name: string, candidates: readonly string[]): string {
  let best: string | undefined;
  let least = Math.min(FARTHEST, Math.floor(name.length / 2)) + 1;
  for (const candidate of candidates) {
    const edits = distance(name, candidate);
    if (edits < least) [best, least] = [candidate, edits];
  }
  return best === undefined ? "" : `; did you mean ${best}?`;
}

/** Levenshtein distance: inserted, deleted or replaced letters. */
function distance(a: string, b: string): number {
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

/** How often each kind of damage ended in each outcome. */
export type Outcomes = Record<string, Record<string, number>>;

/** Counts one case under each of its kinds. */
export function count(outcomes: Outcomes, kinds: readonly string[], outcome: string): void {
  for (const kind of new Set(kinds)) {
    const row = (outcomes[kind] ??= {});
    row[outcome] = (row[outcome] ?? 0) + 1;
  }
}

/** Adds `more` to `outcomes`. */
export function add(outcomes: Outcomes, more: Outcomes): void {
  for (const [kind, row] of Object.entries(more)) {
    const into = (outcomes[kind] ??= {});
    for (const [outcome, n] of Object.entries(row)) into[outcome] = (into[outcome] ?? 0) + n;
  }
}

/** All columns that occur, the most frequent first. */
export function columns(outcomes: Outcomes): string[] {
  const sums = new Map<string, number>();
  for (const row of Object.values(outcomes)) {
    for (const [outcome, n] of Object.entries(row)) sums.set(outcome, (sums.get(outcome) ?? 0) + n);
  }
  return [...sums].toSorted((a, b) => b[1] - a[1]).map(([outcome]) => outcome);
}

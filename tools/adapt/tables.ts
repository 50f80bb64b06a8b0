/** How many cells of the matrix passed: by set of devices, and by machine type. */
import { releaseOf } from "./cells.js";
import type { Job, Target } from "./jobs.js";

interface Sum {
  passed: number;
  tried: number;
}

/** Generations of machine types: those whose streams say less, those with other devices, and the rest. */
const GENERATIONS = ["2.3", "2.6", "2.12", "5.1", "10.0"] as const;

export class Tables {
  private readonly sets = new Map<string, Map<string, Sum>>();
  private readonly types = new Map<string, Map<string, Sum>>();
  private readonly columns = new Set<string>();
  private readonly all: Sum = { passed: 0, tried: 0 };

  add({ source, set, cell }: Job, { under }: Target, passed: boolean): void {
    const column = `${source}, ${under}`;
    const family = cell.from.replace(/-[^-]*$/u, "");
    const generation = GENERATIONS.find((last) => releaseOf(cell.from) <= releaseOf(last)) ?? "later";
    this.columns.add(column);
    for (const sum of [this.all, at(this.sets, set, column), at(this.types, `${family} to ${generation}`, column)]) {
      sum.tried++;
      if (passed) sum.passed++;
    }
  }

  /** Two tables in Markdown, and the sum. */
  lines(): string[] {
    const columns = [...this.columns].toSorted();
    const table = (head: string, rows: ReadonlyMap<string, ReadonlyMap<string, Sum>>): string[] => [
      `| ${[head, ...columns].join(" | ")} |`,
      `| ${[head, ...columns].map(() => "---").join(" | ")} |`,
      ...[...rows].map(([name, sums]) => `| ${[name, ...columns.map((one) => shown(sums.get(one)))].join(" | ")} |`),
    ];
    const { passed, tried } = this.all;
    return [...table("set", this.sets), "", ...table("types", this.types), `${passed} of ${tried} cells passed`];
  }
}

function at(rows: Map<string, Map<string, Sum>>, name: string, column: string): Sum {
  const row = rows.get(name) ?? new Map<string, Sum>();
  rows.set(name, row);
  const sum = row.get(column) ?? { passed: 0, tried: 0 };
  row.set(column, sum);
  return sum;
}

function shown(sum: Sum | undefined): string {
  return sum === undefined ? "" : `${sum.passed} of ${sum.tried}`;
}

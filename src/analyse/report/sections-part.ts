import type { Inspection, SectionSummary } from "../inspect/inspect.js";
import { memorySize } from "../../bytes/text.js";
import { markup, type Piece } from "./html.js";
import { exact, first, place, table, type Part } from "./parts.js";
import type { ReportFacts } from "./types.js";

/** Rows from the beginning and from the end of the table of sections; what is between shares a row. */
const FIRST_ROWS = 300;
const LAST_ROWS = 700;
/**
 * Parts of one section that follow each other and are shown one by one; of more, the ones in the middle share a row.
 */
const MOST_PARTS = 8;
const MOST_COMMANDS = 200;

/** The section table, and the commands between sections. */
export function sectionsPart({ inspection }: ReportFacts): Part {
  const kinds = inspection.sections.some(({ recordCounts: records }) => records !== undefined);
  const columns = [
    { name: "at byte" },
    { name: "bytes", number: true },
    { name: "type" },
    { name: "id", number: true },
    { name: "section" },
    { name: "version", number: true },
    ...(kinds ? [{ name: "records" }] : []),
  ];
  const rows = rowsOf(inspection.sections);
  const between = rows.slice(FIRST_ROWS, -LAST_ROWS).flat();
  const shown = (some: SectionSummary[][]): Piece[][] => some.map((run) => rowOf(run).slice(0, columns.length));
  const all =
    between.length === 0
      ? shown(rows)
      : [
          ...shown(rows.slice(0, FIRST_ROWS)),
          gapOf(between).slice(0, columns.length),
          ...shown(rows.slice(-LAST_ROWS)),
        ];
  const sections =
    rows.length === 0
      ? markup`<p>No section was reached.</p>
`
      : table(
          `Sections (${exact(inspection.sections.length)}), with header and footer`,
          columns,
          all,
          between.length > 0 &&
            markup`${exact(between.length)} sections share a row: <code>qevm inspect FILE --json</code> lists all.`,
        );
  return { id: "sections", heading: "Sections and commands", body: [sections, commands(inspection)] };
}

/** Sections of one row. Long runs of parts of one section are one, but for their ends. */
function rowsOf(sections: readonly SectionSummary[]): SectionSummary[][] {
  const runs: SectionSummary[][] = [];
  for (const section of sections) {
    const last = runs.at(-1);
    const goes = section.type === "part" && last?.[0]?.type === "part" && last[0].id === section.id;
    if (goes) last.push(section);
    else runs.push([section]);
  }
  return runs.flatMap((run) =>
    run.length <= MOST_PARTS ? run.map((one) => [one]) : [run.slice(0, 1), run.slice(1, -1), run.slice(-1)],
  );
}

function rowOf(sections: readonly SectionSummary[]): Piece[] {
  const section = sections[0]!;
  const { type, id, section: name, instance, version, streamOffset: offset } = section;
  const length = sections.reduce((sum, one) => sum + one.sectionLength, 0);
  const records = new Map<string, number>();
  for (const one of sections) {
    for (const [kind, n] of Object.entries(one.recordCounts ?? {})) records.set(kind, (records.get(kind) ?? 0) + n);
  }
  return [
    place(offset),
    exact(length),
    sections.length === 1 ? type : `${exact(sections.length)} times ${type}`,
    id,
    markup`<code>${name}/${instance}</code>`,
    version,
    [...records].map(([kind, n]) => `${kind} ${exact(n)}`).join(", "),
  ];
}

/** Sections that are not shown one by one. */
function gapOf(sections: readonly SectionSummary[]): Piece[] {
  const length = sections.reduce((sum, one) => sum + one.sectionLength, 0);
  return [place(sections[0]!.streamOffset), exact(length), `${exact(sections.length)} left out`, "", "", "", ""];
}

function commands({ commands: all }: Inspection): Piece {
  if (all.length === 0)
    return markup`<p>No commands.</p>
`;
  const { shown, left } = first(all, MOST_COMMANDS);
  const rows = shown.map(({ streamOffset: offset, name, ...fields }) => [
    place(offset),
    markup`<code>${name}</code>`,
    Object.entries(fields)
      .map(([field, value]) => `${field} ${fieldText(value)}`)
      .join(", "),
  ]);
  return table(
    `Commands (${exact(all.length)})`,
    [{ name: "at byte" }, { name: "command" }, { name: "fields" }],
    rows,
    left > 0 && markup`${left} more are left out: <code>qevm inspect FILE --json</code> lists all.`,
  );
}

function fieldText(value: unknown): string {
  if (!Array.isArray(value)) return String(value);
  const bytes = (value as { length: number }[]).reduce((sum, range) => sum + range.length, 0);
  return `${value.length} (${memorySize(bytes)})`;
}

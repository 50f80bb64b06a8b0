import { fileSize } from "../../bytes/text.js";
import { USES } from "./byte-use.js";
import { markup, type Piece } from "./html.js";
import { exact, share, table, type Part } from "./parts.js";
import type { ReportFacts } from "./types.js";

/** What the bytes of the stream are spent on. */
export function bytesPart({ use, unread }: ReportFacts): Part {
  const total = use.reduce((sum, { bytes }) => sum + bytes, 0) + unread;
  const most = Math.max(1, unread, ...use.map(({ bytes }) => bytes));
  const row = (name: string, bytes: number): Piece[] => [
    name,
    exact(bytes),
    fileSize(bytes),
    share(bytes, total),
    markup`<svg class="bar" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">
      <rect width="${Math.max(2, Math.round((1000 * bytes) / most))}" height="10" />
    </svg>`,
  ];
  const rows = use.map(({ use: kind, bytes }) => row(USES[kind], bytes));
  if (unread > 0) rows.push(row("Not decoded: at or after the damage", unread));
  rows.push([markup`<em>all</em>`, exact(total), fileSize(total), "", ""]);
  const columns = [
    { name: "spent on" },
    { name: "bytes", number: true },
    { name: "size", number: true },
    { name: "share", number: true },
    { name: "" },
  ];
  const caption =
    unread === 0 ? "Every byte of the stream, once" : "Every byte of the stream and of what is left of the file, once";
  return { id: "bytes", heading: "Where the bytes go", body: table(caption, columns, rows) };
}

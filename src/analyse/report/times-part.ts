import { fileSize } from "../../bytes/text.js";
import { markup, type Html, type Piece } from "./html.js";
import type { MigrationTimes } from "./migration-times.js";
import { exact, first, list, table, type Part } from "./parts.js";
import type { ReportFacts } from "./types.js";

/** Height of the drawing in units of its view box. */
const HEIGHT = 20;
const MOST_ROWS = 200;

/** How a recorded migration went in time; undefined where no times were recorded. */
export function timesPart({ times }: ReportFacts): Part | undefined {
  if (times === undefined) return undefined;
  const { seconds, bytes, buckets, width, damage } = times;
  const most = Math.max(0, ...buckets.map((one) => one ?? 0));
  const pairs: [string, Piece][] = [
    ["From first to last byte", duration(seconds)],
    ["Bandwidth, mean", rate(bytes, seconds)],
    ["Bandwidth, highest", `${rate(most, width)} (over ${duration(width)})`],
    [
      "Rounds",
      times.rounds.length === 0 ? "none" : `${exact(times.rounds.length)}${times.postcopy ? ", then postcopy" : ""}`,
    ],
    ["Sent after the guest was stopped", stoppedFor(times)],
  ];
  if (times.stopped !== undefined && times.answered !== undefined && times.answered >= times.stopped) {
    pairs.push(["From there to the last answer", duration(times.answered - times.stopped)]);
  }
  return {
    id: "times",
    heading: "The migration in time",
    body: [
      damage !== undefined && markup`<p class="note">The timeline is damaged: ${damage.message}</p> `,
      list(pairs),
      drawing(times, most),
      roundTable(times),
    ],
  };
}

function stoppedFor({ stopped, seconds, postcopy }: MigrationTimes): string {
  if (postcopy) return "postcopy: the stream does not say when the guest went on";
  if (stopped === undefined) return "nothing: the stream ends before that";
  return `for ${duration(seconds - stopped)}: the guest stood still at least that long`;
}

function drawing({ buckets, width, seconds }: MigrationTimes, most: number): Html {
  const bars = Array.from(buckets, (bytes, k) => {
    const height = most === 0 ? 0 : Math.round((HEIGHT * 100 * (bytes ?? 0)) / most) / 100;
    return height === 0 ? "" : `M${k} ${HEIGHT}v-${height}h1v${height}z`;
  }).join("");
  const label = `Bytes in each ${duration(width)}, at most ${fileSize(most)}`;
  return markup`<figure>
    <svg
      class="strip"
      role="img"
      aria-label="${label}"
      viewBox="0 0 ${Math.max(1, buckets.length)} ${HEIGHT}"
      preserveAspectRatio="none"
    >
      <path class="k-data" d="${bars}" />
    </svg>
    <p class="ends"><span>0 s</span> <span>${label}</span> <span>${duration(seconds)}</span></p>
  </figure> `;
}

function roundTable({ rounds, seconds, pageSize }: MigrationTimes): Piece {
  if (rounds.length === 0) return "";
  const { shown, left } = first(rounds, MOST_ROWS);
  const rows = shown.map(({ at, pages }, k) => {
    const lasts = (rounds[k + 1]?.at ?? seconds) - at;
    const before = rounds[k - 1];
    // What a round sends was written while the round before it was under way.
    const dirtied = before === undefined ? "" : rate(pages * pageSize, at - before.at);
    return [`${k + 1}`, duration(at), duration(lasts), exact(pages), rate(pages * pageSize, lasts), dirtied];
  });
  const columns = [
    { name: "round" },
    { name: "begins at", number: true },
    { name: "lasts", number: true },
    { name: "pages", number: true },
    { name: "memory sent", number: true },
    { name: "memory dirtied before", number: true },
  ];
  const note = [
    "A round begins where a page comes again; rounds in which none does are taken for one. ",
    left > 0 && `${exact(left)} more rounds are left out.`,
  ];
  return table("Rounds, as far as the stream shows them", columns, rows, note);
}

function duration(seconds: number): string {
  return seconds < 10 ? `${(seconds * 1000).toFixed(1)} ms` : `${seconds.toFixed(1)} s`;
}

function rate(bytes: number, seconds: number): string {
  return seconds <= 0 ? "-" : `${fileSize(Math.round(bytes / seconds))}/s`;
}

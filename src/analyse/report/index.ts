/** A self-contained HTML report of a stream. */
export { MOST_PAGE, reportStream } from "./report.js";
export type { ReportOptions, StreamReport } from "./types.js";

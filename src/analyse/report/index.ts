/** A self-contained HTML report of a stream. */
export { diffPage } from "./diff-page.js";
export { MOST_PAGE, reportStream } from "./report.js";
export type { ReportOptions, StreamReport } from "./types.js";

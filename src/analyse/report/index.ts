/** Everything that is known of a stream as one HTML page. */
export { MOST_PAGE, reportStream } from "./report.js";
export type { ReportOptions, StreamReport } from "./types.js";

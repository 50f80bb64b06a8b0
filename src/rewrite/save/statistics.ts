/** Figures with the names and meanings of QMP `query-migrate` (QEMU 7.2, qapi/migration.json). */
export interface MigrationStatistics {
  status: "setup" | "active" | "completed" | "cancelled" | "failed";
  /** Milliseconds. */
  "total-time": number;
  "setup-time": number;
  downtime: number;
  "expected-downtime": number;
  ram: {
    /** Bytes written. */
    transferred: number;
    /** Bytes of pages that remain to be sent. */
    remaining: number;
    /** Total bytes of all blocks. */
    total: number;
    /** Zero pages. */
    duplicate: number;
    /** Uncompressed pages sent. */
    normal: number;
    "normal-bytes": number;
    "dirty-sync-count": number;
    /** Pages per second written by the guest between the last two syncs. */
    "dirty-pages-rate": number;
    /** Throughput of the last window in megabits per second. */
    mbps: number;
    "pages-per-second": number;
    "page-size": number;
  };
  compression: {
    /** COMPRESS_PAGE records. */
    pages: number;
    /** Pages sent uncompressed because no thread was idle. */
    busy: number;
    /** Busy pages per page in the last period. */
    "busy-rate": number;
    /** Bytes of the records after their first eight. */
    "compressed-size": number;
    /** Uncompressed by compressed bytes in the last period. */
    "compression-rate": number;
  };
  "xbzrle-cache": {
    "cache-size": number;
    bytes: number;
    pages: number;
    "cache-miss": number;
    overflow: number;
  };
}

export function emptyStatistics(total: number, pageSize: number, cacheSize: number): MigrationStatistics {
  return {
    status: "setup",
    "total-time": 0,
    "setup-time": 0,
    downtime: 0,
    "expected-downtime": 0,
    ram: {
      transferred: 0,
      remaining: total,
      total,
      duplicate: 0,
      normal: 0,
      "normal-bytes": 0,
      "dirty-sync-count": 0,
      "dirty-pages-rate": 0,
      mbps: 0,
      "pages-per-second": 0,
      "page-size": pageSize,
    },
    compression: { pages: 0, busy: 0, "busy-rate": 0, "compressed-size": 0, "compression-rate": 0 },
    "xbzrle-cache": { "cache-size": cacheSize, bytes: 0, pages: 0, "cache-miss": 0, overflow: 0 },
  };
}

/** Rates between two dirty-bitmap syncs. */
export class Period {
  private pages = 0;
  private busy = 0;
  private compressed = 0;
  private bytes = 0;

  constructor(private start: number) {}

  /** Ends a period at `now` milliseconds, in which the guest wrote `dirtied` pages. */
  end(statistics: MigrationStatistics, now: number, dirtied: number): void {
    const { compression, ram } = statistics;
    const pages = ram.normal + ram.duplicate + compression.pages + statistics["xbzrle-cache"].pages;
    const seconds = Math.max(now - this.start, 1) / 1000;
    const sent = pages - this.pages;
    if (sent > 0) compression["busy-rate"] = (compression.busy - this.busy) / sent;
    const size = compression["compressed-size"] - this.bytes;
    if (size > 0) compression["compression-rate"] = ((compression.pages - this.compressed) * ram["page-size"]) / size;
    ram["dirty-pages-rate"] = dirtied / seconds;
    this.start = now;
    this.pages = pages;
    this.busy = compression.busy;
    this.compressed = compression.pages;
    this.bytes = compression["compressed-size"];
  }
}

import { hex, QevmError } from "../../../bytes/errors.js";
import { isZero } from "../../../bytes/zero.js";
import { Incompatible, type Qcow2Header } from "./header.js";
import { exactly, vmStateSize, type Qcow2Snapshot } from "./snapshots.js";
import { type RandomSource } from "../../../bytes/source.js";

/**
 * Location of one guest cluster. `bitmap` (extended L2) marks which of its 32 subclusters are data (low half) and zeros
 * (high half).
 */
export type Cluster =
  | { kind: "zero" }
  | { kind: "data"; host: number; bitmap?: { data: number; zero: number } }
  | { kind: "compressed"; host: number; length: number; entryAt: number };

/**
 * The clusters of a snapshot's VM state. It is stored as guest data after the end of the virtual disk, from the first
 * L1 entry that the disk does not use. All tables are read and checked in advance, so that reads can trust them:
 *
 * L1 entry: bits 9 to 55 offset of an L2 table (0: none), 63 copied. L2 entry: 9 to 55 offset (0: none), 62 compressed,
 * 63 copied, 0 reads as zeros. Compressed, with x = 62 - (cluster bits - 8): 0 to x - 1 offset, x to 61 further
 * 512-byte sectors. Extended: a second be64, 0 to 31 subclusters with data, 32 to 63 subclusters of zeros.
 */
export class ClusterMap {
  readonly clusterSize: number;
  private readonly entrySize: number;
  private readonly entries: number;
  /** L2 tables by L1 index, counted from the state's first one. */
  private readonly tables: (L2Table | undefined)[] = [];
  /** Host clusters in use, one bit each: 32 per word; only words that are not zero are stored. */
  private readonly owned = new Map<number, Map<number, number>>();
  /** Byte offsets of compressed clusters. Several may share a host cluster, but each has its own first byte. */
  private readonly compressedAt = new Set<number>();
  private readonly path: readonly string[];
  /** L1 index of the start of the state. */
  private first = 0;
  private extended = 0;

  private constructor(
    private readonly source: RandomSource,
    private readonly header: Qcow2Header,
    readonly snapshot: Qcow2Snapshot,
  ) {
    this.clusterSize = 2 ** header.clusterBits;
    this.entrySize = (header.incompatibleFeatures & Incompatible.EXTENDED_L2) === 0n ? 8 : 16;
    this.entries = this.clusterSize / this.entrySize;
    this.path = [`qcow2 snapshot ${JSON.stringify(snapshot.name)}`, "L1 table"];
  }

  /**
   * Reads and checks the tables of a snapshot's state. Errors: truncated, bad-offset, bad-value, bad-length, each with
   * the entry's offset.
   */
  static async read(source: RandomSource, header: Qcow2Header, snapshot: Qcow2Snapshot): Promise<ClusterMap> {
    const map = new ClusterMap(source, header, snapshot);
    await map.load();
    return map;
  }

  /** Size of the state in bytes: as stated in the snapshot, or up to the end of the last cluster that `extend` read. */
  get length(): number {
    return Math.max(Number(vmStateSize(this.snapshot)), this.extended);
  }

  /**
   * Also maps what follows `vm_state_size`, up to the end of the L1 table. QEMU 11.1's savevm with mapped-ram counts
   * only the bytes that it wrote sequentially, which excludes the pages; RAM and devices continue after that size.
   * Errors: as `read`.
   */
  async extend(): Promise<void> {
    const known = this.tables.length;
    await this.loadTables(this.snapshot.l1Size - this.first - known);
    const perTable = this.entries;
    for (let t = this.tables.length - 1; t >= 0; t--) {
      const table = this.tables[t];
      if (table === undefined) continue;
      for (let k = perTable - 1; k >= 0; k--) {
        if (this.isUnused(table, k)) continue;
        const before = Math.ceil(Number(vmStateSize(this.snapshot)) / this.clusterSize);
        this.extended = (t * perTable + k + 1) * this.clusterSize;
        this.checkClusters(before, t * perTable + k + 1);
        return;
      }
    }
  }

  /** The cluster that contains byte `position` of the state. */
  clusterAt(position: number): Cluster {
    const cluster = Math.floor(position / this.clusterSize);
    const table = this.tables[Math.floor(cluster / this.entries)];
    if (table === undefined) return { kind: "zero" };
    return this.decode(table, cluster % this.entries);
  }

  private isUnused({ view }: L2Table, k: number): boolean {
    const at = k * this.entrySize;
    return view.getUint32(at) === 0 && view.getUint32(at + 4) === 0;
  }

  private async load(): Promise<void> {
    const { snapshot, header, clusterSize, entries, path } = this;
    const span = clusterSize * entries;
    const disk = Number(snapshot.extra.diskSize ?? header.size);
    const first = Math.ceil(disk / span);
    this.first = first;
    const size = vmStateSize(snapshot);
    const count = Number((size + BigInt(span) - 1n) / BigInt(span));
    if (snapshot.l1Size > MOST_L1) {
      throw new QevmError("limit", "the snapshot's L1 table is too large", {
        path,
        offset: Number(snapshot.l1TableOffset),
        expected: `at most ${MOST_L1} entries`,
        found: `${snapshot.l1Size}`,
      });
    }
    if (first + count > snapshot.l1Size) {
      throw new QevmError("bad-length", "the VM state is longer than the snapshot's L1 table", {
        path,
        offset: Number(snapshot.l1TableOffset),
        expected: `at least ${first + count} entries`,
        found: `${snapshot.l1Size}`,
      });
    }
    const l1At = Number(snapshot.l1TableOffset);
    if (l1At % clusterSize !== 0) throw new QevmError("bad-offset", "L1 table", { path, offset: l1At });
    this.markOwned(0, 1);
    this.markOwned(l1At, snapshot.l1Size * 8);
    this.markOwned(Number(header.snapshotsOffset), 1);
    await this.loadTables(count);
    this.checkClusters(0, Math.ceil(this.length / clusterSize));
  }

  /** Reads the next `count` L1 entries and the L2 tables that they refer to. */
  private async loadTables(count: number): Promise<void> {
    const { clusterSize, path } = this;
    const first = this.first + this.tables.length;
    const l1At = Number(this.snapshot.l1TableOffset) + first * 8;
    const l1 = await exactly(this.source, l1At, count * 8, path);
    const view = new DataView(l1.buffer, l1.byteOffset, l1.byteLength);
    for (let k = 0; k < count; k++) {
      const entryAt = l1At + k * 8;
      const where = { path: [...path, `entry ${first + k}`], offset: entryAt };
      const entry = view.getBigUint64(8 * k);
      if ((entry & 0x7f000000000001ffn) !== 0n) {
        throw new QevmError("bad-value", "reserved bits of an L1 entry", { ...where, found: hex(entry) });
      }
      const host = Number(entry & 0x00fffffffffffe00n);
      if (host === 0) {
        this.tables.push(undefined);
        continue;
      }
      this.claim(host, clusterSize, "L2 table", where);
      const bytes = await exactly(this.source, host, clusterSize, where.path);
      // A table of zeros, or a hole in the file, maps nothing and needs no memory.
      if (isZero(bytes)) {
        this.tables.push(undefined);
        continue;
      }
      this.tables.push({
        at: host,
        path: where.path,
        view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
      });
    }
  }

  /** Checks that every cluster of the state from `from` to `end` is in the file, is used once, and is not a table. */
  private checkClusters(from: number, end: number): void {
    this.tables.forEach((table, t) => {
      if (table === undefined) return;
      const here = Math.min(this.entries, end - t * this.entries);
      for (let k = Math.max(0, from - t * this.entries); k < here; k++) {
        const cluster = this.decode(table, k);
        if (cluster.kind === "compressed") this.claimCompressed(cluster.host, this.entryPlace(table, k));
        if (cluster.kind !== "data") continue;
        this.claim(cluster.host, this.clusterSize, "cluster", this.entryPlace(table, k));
      }
    });
  }

  private decode(table: L2Table, k: number): Cluster {
    const { view } = table;
    const at = k * this.entrySize;
    const high = view.getUint32(at);
    const low = view.getUint32(at + 4);
    if ((high & 0x40000000) !== 0) return this.compressed(table, k, high, low);
    const reserved = this.entrySize === 16 ? 0x1ff : 0x1fe;
    if ((high & 0x3f000000) !== 0 || (low & reserved) !== 0) {
      const found = `0x${high.toString(16)}${low.toString(16).padStart(8, "0")}`;
      throw new QevmError("bad-value", "reserved bits of an L2 entry", { ...this.entryPlace(table, k), found });
    }
    const host = (high & 0x00ffffff) * 2 ** 32 + ((low & 0xfffffe00) >>> 0);
    if (this.entrySize === 16) {
      const bitmap = { zero: view.getUint32(at + 8), data: view.getUint32(at + 12) };
      return host === 0 || bitmap.data === 0 ? { kind: "zero" } : { kind: "data", host, bitmap };
    }
    return host === 0 || (low & 1) === 1 ? { kind: "zero" } : { kind: "data", host };
  }

  private compressed(table: L2Table, k: number, high: number, low: number): Cluster {
    const entry = (BigInt(high) << 32n) | BigInt(low);
    const x = BigInt(62 - (this.header.clusterBits - 8));
    const host = Number(entry & ((1n << x) - 1n));
    const sectors = Number((entry & ((1n << 62n) - 1n)) >> x);
    const length = Math.min((sectors + 1) * 512 - (host % 512), this.source.length - host);
    if (length <= 0) {
      throw new QevmError("bad-offset", "a compressed cluster outside the file", {
        ...this.entryPlace(table, k),
        found: hex(host),
      });
    }
    return { kind: "compressed", host, length, entryAt: table.at + k * this.entrySize };
  }

  private entryPlace(table: L2Table, k: number): { path: string[]; offset: number } {
    return { path: [...table.path, `L2 entry ${k}`], offset: table.at + k * this.entrySize };
  }

  private claim(host: number, length: number, what: string, where: { path: string[]; offset: number }): void {
    const { clusterSize, source } = this;
    if (host % clusterSize !== 0) {
      throw new QevmError("bad-offset", `${what} that does not begin at a cluster`, { ...where, found: hex(host) });
    }
    // The last cluster of a file may be short where its end was not written.
    if (host >= source.length) {
      const expected = `below ${hex(source.length)}`;
      throw new QevmError("bad-offset", `${what} outside the file`, { ...where, expected, found: hex(host) });
    }
    const index = host / clusterSize;
    if (this.isOwned(index)) {
      throw new QevmError("bad-offset", `${what} that is in use already (a loop)`, {
        ...where,
        found: hex(host),
      });
    }
    this.markOwned(host, length);
  }

  /** Otherwise entries that all refer to the same few bytes would make an endless state. */
  private claimCompressed(host: number, where: { path: string[]; offset: number }): void {
    if (this.compressedAt.has(host)) {
      const what = "compressed cluster that is in use already";
      throw new QevmError("bad-offset", what, { ...where, found: hex(host) });
    }
    this.compressedAt.add(host);
  }

  private markOwned(host: number, length: number): void {
    const { clusterSize, owned, source } = this;
    const end = Math.ceil(Math.min(host + length, source.length) / clusterSize);
    for (let index = Math.floor(host / clusterSize); index < end; index++) {
      const outer = Math.floor(index / 2 ** 25);
      let words = owned.get(outer);
      if (words === undefined) owned.set(outer, (words = new Map()));
      const word = Math.floor(index / 32) % 2 ** 20;
      words.set(word, (words.get(word) ?? 0) | (1 << (index % 32)));
    }
  }

  private isOwned(index: number): boolean {
    const words = this.owned.get(Math.floor(index / 2 ** 25));
    return (((words?.get(Math.floor(index / 32) % 2 ** 20) ?? 0) >>> (index % 32)) & 1) === 1;
  }
}

/** QEMU's own limit: 32 MiB of L1 table (QCOW_MAX_L1_SIZE, block/qcow2.h, 7.2). */
const MOST_L1 = (32 << 20) / 8;

interface L2Table {
  at: number;
  path: string[];
  view: DataView;
}

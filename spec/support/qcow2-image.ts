/** qcow2 images laid out cluster by cluster, from the format's documentation. */
import { deflateRawSync } from "node:zlib";

export const BITS = 12;
export const CLUSTER = 1 << BITS;
export const COPIED = 1n << 63n;
export const COMPRESSED = 1n << 62n;

export interface Wanted {
  /** `stated`: the size that the snapshot says. */
  states: { name: string; bytes: Buffer; stated?: number }[];
  version?: number;
  /** Entries of 16 bytes, with subclusters. */
  extended?: boolean;
  /** Which clusters of a state are compressed, by number. */
  packed?: (cluster: number) => boolean;
  /** Takes raw deflate by default. */
  pack?: (cluster: Buffer) => Buffer;
  compression?: number;
  dataFile?: string;
  encryption?: number;
}

/** Where things are, for tests that spoil them. */
export interface Laid {
  bytes: Buffer;
  /** Of each snapshot: its first L1 entry of the state, and its first L2 table. */
  places: { l1: number; l2: number }[];
}

/** An image of a disk of one cluster with snapshots that hold states. */
export function image(wanted: Wanted): Laid {
  const { states, packed, pack = deflateRawSync, compression = 0, dataFile, encryption = 0 } = wanted;
  const { version = 3, extended = false } = wanted;
  const entrySize = extended ? 16 : 8;
  const ENTRIES = CLUSTER / entrySize;
  const clusters: Buffer[] = [];
  const take = (): number => clusters.push(Buffer.alloc(CLUSTER)) - 1;
  const header = clusters[take()]!;
  const table = take();
  const entries: Buffer[] = [];
  const places: Laid["places"] = [];
  states.forEach(({ name, bytes, stated = bytes.length }, number) => {
    const count = Math.ceil(bytes.length / CLUSTER);
    const l1Size = 1 + Math.ceil(count / ENTRIES);
    const l1 = take();
    // The disk takes the first L1 entry; the state begins at the next.
    const l2s = Array.from({ length: l1Size - 1 }, () => take());
    l2s.forEach((l2, k) => clusters[l1]!.writeBigUInt64BE(COPIED | BigInt(l2 * CLUSTER), 8 * (k + 1)));
    places.push({ l1: l1 * CLUSTER + 8, l2: (l2s[0] ?? 0) * CLUSTER });
    for (let k = 0; k < count; k++) {
      const content = Buffer.alloc(CLUSTER);
      bytes.copy(content, 0, k * CLUSTER);
      let entry = 0n;
      if (packed?.(k) === true) {
        const small = pack(content);
        // Not at the beginning of a sector, as compressed clusters are.
        const at = take() * CLUSTER + 100;
        for (let more = at + small.length; more > clusters.length * CLUSTER;) take();
        const whole = Buffer.concat(clusters);
        small.copy(whole, at);
        for (let c = Math.floor(at / CLUSTER); c < clusters.length; c++) whole.copy(clusters[c]!, 0, c * CLUSTER);
        const sectors = Math.floor((at + small.length - 1) / 512) - Math.floor(at / 512);
        entry = COMPRESSED | (BigInt(sectors) << BigInt(62 - (BITS - 8))) | BigInt(at);
      } else if (content.some((byte) => byte !== 0)) {
        const host = take();
        content.copy(clusters[host]!);
        entry = COPIED | BigInt(host * CLUSTER);
      } else if (k % 2 === 0 && !extended && version === 3) {
        entry = 1n;
      }
      const at = entrySize * (k % ENTRIES);
      const l2 = clusters[l2s[Math.floor(k / ENTRIES)]!]!;
      l2.writeBigUInt64BE(entry, at);
      if (extended) l2.writeBigUInt64BE((entry & COMPRESSED) === 0n && entry !== 0n ? 0xffffffffn : 0n, at + 8);
    }
    entries.push(snapshot(name, number, l1 * CLUSTER, l1Size, stated));
  });
  Buffer.concat(entries).copy(clusters[table]!);
  header.write("QFI\u00fb", "latin1");
  const features = (dataFile === undefined ? 0n : 4n) | (compression === 0 ? 0n : 8n) | (extended ? 16n : 0n);
  for (const [at, value] of [
    [4, version],
    [20, BITS],
    [32, encryption],
    [36, 1],
    [56, 1],
    [60, states.length],
    [96, 4],
    [100, 112],
  ] as const) {
    header.writeUInt32BE(value, at);
  }
  header.writeBigUInt64BE(BigInt(CLUSTER), 24);
  header.writeBigUInt64BE(BigInt(places[0]!.l1 - 8), 40);
  header.writeBigUInt64BE(BigInt(table * CLUSTER), 64);
  header.writeBigUInt64BE(features, 72);
  header[104] = compression;
  if (dataFile !== undefined) {
    header.writeUInt32BE(0x44415441, 112);
    header.writeUInt32BE(dataFile.length, 116);
    header.write(dataFile, 120, "latin1");
  }
  return { bytes: Buffer.concat(clusters), places };
}

function snapshot(name: string, number: number, l1: number, l1Size: number, size: number): Buffer {
  const id = String(number + 1);
  const bytes = Buffer.alloc(Math.ceil((40 + 24 + id.length + name.length) / 8) * 8);
  bytes.writeBigUInt64BE(BigInt(l1), 0);
  bytes.writeUInt32BE(l1Size, 8);
  bytes.writeUInt16BE(id.length, 12);
  bytes.writeUInt16BE(name.length, 14);
  bytes.writeUInt32BE(24, 36);
  bytes.writeBigUInt64BE(BigInt(size), 40);
  bytes.writeBigUInt64BE(BigInt(CLUSTER), 48);
  bytes.writeBigUInt64BE(2n ** 64n - 1n, 56);
  bytes.write(id + name, 64, "latin1");
  return bytes;
}

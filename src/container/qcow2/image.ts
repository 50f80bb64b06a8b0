import { inflateRawSync } from "node:zlib";
import { QevmError } from "../../errors.js";
import { QemuFileReader } from "../../qemu-file/reader.js";
import type { ByteSource } from "../../qemu-file/source.js";
import { decodeQcow2Header, Incompatible, type Qcow2Header } from "./header.js";
import { ClusterMap, type Cluster } from "./map.js";
import { exactly, readSnapshots, vmStateSize, type Qcow2Snapshot } from "./snapshots.js";
import { readFully, type SeekableSource } from "../sources.js";
import { unzstd } from "../compressed/zstd.js";

/** A qcow2 image: its header, its snapshots, and the name of its external data file. */
export interface Qcow2Image {
  header: Qcow2Header;
  snapshots: Qcow2Snapshot[];
  dataFile: string | undefined;
}

/** Reads header, extensions and snapshot table. Errors: as the decoders of these. */
export async function readQcow2(source: SeekableSource, snapshotBytes?: number): Promise<Qcow2Image> {
  const head = await readFully(source, 0, 4096);
  const header = decodeQcow2Header(head);
  return {
    header,
    snapshots: await readSnapshots(source, header, snapshotBytes),
    dataFile: dataFileName(head, header),
  };
}

/** The name in the header extension 0x44415441 ("DATA"). Extensions: be32 type (0 ends), be32 length, data up to a multiple of 8. */
function dataFileName(head: Uint8Array, header: Qcow2Header): string | undefined {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  for (let at = header.headerLength; at + 8 <= head.length;) {
    const type = view.getUint32(at);
    const length = view.getUint32(at + 4);
    if (type === 0) return undefined;
    if (type === 0x44415441) return new TextDecoder().decode(head.subarray(at + 8, at + 8 + length));
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return undefined;
}

/**
 * The snapshot of a name or id, or the only one with a VM state.
 * Errors: unknown-reference (none of that name; all are listed), unsupported (no VM state), usage (several, none named).
 */
export function chooseSnapshot(image: Qcow2Image, wanted: string | undefined): Qcow2Snapshot {
  const withState = image.snapshots.filter((snapshot) => vmStateSize(snapshot) > 0n);
  const list = withState.map(({ id, name }) => `${JSON.stringify(name)} (id ${id})`).join(", ");
  if (wanted === undefined) {
    const [only] = withState;
    if (only === undefined) {
      const what =
        image.snapshots.length === 0
          ? "a qcow2 image without snapshots"
          : "a qcow2 image without a saved VM state in its snapshots";
      throw new QevmError("unsupported", what, { offset: 60, path: ["qcow2 header"] });
    }
    if (withState.length > 1) throw new QevmError("usage", `several snapshots, choose with --snapshot NAME: ${list}`);
    return only;
  }
  const found = image.snapshots.find(({ name }) => name === wanted) ?? image.snapshots.find(({ id }) => id === wanted);
  if (found === undefined) {
    const there = list === "" ? "none" : list;
    throw new QevmError("usage", `no snapshot ${JSON.stringify(wanted)} in the image; there are: ${there}`);
  }
  if (vmStateSize(found) === 0n) {
    throw new QevmError(
      "usage",
      `snapshot ${JSON.stringify(wanted)} holds no VM state; with one there are: ${list === "" ? "none" : list}`,
    );
  }
  return found;
}

/** The VM state of a snapshot as a source. Errors: as `ClusterMap.read`; unsupported (encryption, external data file). */
export async function openVmState(
  source: SeekableSource,
  image: Qcow2Image,
  snapshot: Qcow2Snapshot,
): Promise<ByteSource> {
  const { header } = image;
  if (header.encryption !== 0) {
    throw new QevmError("unsupported", "an encrypted qcow2 image", { offset: 32, path: ["qcow2 header"] });
  }
  if ((header.incompatibleFeatures & Incompatible.EXTERNAL_DATA) !== 0n) {
    throw new QevmError(
      "unsupported",
      `the image keeps its data in another file, ${JSON.stringify(image.dataFile ?? "not named")}`,
      {
        offset: 72,
        path: ["qcow2 header"],
      },
    );
  }
  return new VmStateSource(source, image.header, await ClusterMap.read(source, header, snapshot));
}

/** Reads the state cluster by cluster. */
class VmStateSource implements ByteSource {
  readonly length: number;
  readonly within: readonly string[];
  private position = 0;
  /** The compressed cluster read last. */
  private last: { host: number; bytes: Uint8Array } | undefined;

  constructor(
    private readonly image: SeekableSource,
    private readonly header: Qcow2Header,
    private readonly map: ClusterMap,
  ) {
    this.length = map.length;
    this.within = [`VM state of qcow2 snapshot ${JSON.stringify(map.snapshot.name)}`];
  }

  async read(into: Uint8Array): Promise<number> {
    const got = await this.readAt(this.position, into);
    this.position += got;
    return got;
  }

  seek(position: number): void {
    this.position = position;
  }

  async readAt(position: number, into: Uint8Array): Promise<number> {
    const { clusterSize } = this.map;
    const end = Math.min(into.length, Math.max(0, this.length - position));
    let done = 0;
    while (done < end) {
      const at = (position + done) % clusterSize;
      const piece = into.subarray(done, Math.min(end, done + clusterSize - at));
      await this.fill(this.map.at(position + done), at, piece);
      done += piece.length;
    }
    return end;
  }

  close(): void | Promise<void> {
    return this.image.close?.();
  }

  private async fill(cluster: Cluster, at: number, into: Uint8Array): Promise<void> {
    if (cluster.kind === "zero") {
      into.fill(0);
    } else if (cluster.kind === "compressed") {
      into.set((await this.decompress(cluster)).subarray(at, at + into.length));
    } else {
      let done = 0;
      while (done < into.length) {
        const got = await this.image.readAt(cluster.host + at + done, into.subarray(done));
        if (got === 0) break;
        done += got;
      }
      into.fill(0, done);
      if (cluster.bitmap !== undefined) this.clear(cluster.bitmap.data, at, into);
    }
  }

  /** Subclusters without data read as zeros. */
  private clear(data: number, at: number, into: Uint8Array): void {
    const size = this.map.clusterSize / 32;
    for (let k = 0; k < 32; k++) {
      if ((data & (1 << k)) !== 0) continue;
      const from = k * size - at;
      if (from < into.length && from + size > 0) into.fill(0, Math.max(0, from), from + size);
    }
  }

  private async decompress(cluster: Extract<Cluster, { kind: "compressed" }>): Promise<Uint8Array> {
    if (this.last?.host === cluster.host) return this.last.bytes;
    const path = [...this.within, "compressed cluster"];
    const packed = await exactly(this.image, cluster.host, cluster.length, path);
    const { clusterSize } = this.map;
    let bytes = new Uint8Array(clusterSize);
    try {
      if (this.header.compression === 0) {
        bytes = new Uint8Array(inflateRawSync(packed, { maxOutputLength: clusterSize }));
      } else {
        let used = 0;
        for await (const piece of unzstd(QemuFileReader.over(packed, cluster.host))) {
          bytes.set(piece.subarray(0, clusterSize - used), used);
          used += piece.length;
          if (used >= clusterSize) break;
        }
        bytes = bytes.subarray(0, used);
      }
    } catch (error) {
      const message = error instanceof QevmError ? error.what : error instanceof Error ? error.message : String(error);
      throw new QevmError("bad-compressed-data", message, { offset: cluster.host, path, cause: error });
    }
    if (bytes.length !== clusterSize) {
      throw new QevmError("bad-compressed-data", "a compressed cluster of another length", {
        offset: cluster.entryAt,
        path,
        expected: `${clusterSize}`,
        found: `${bytes.length}`,
      });
    }
    this.last = { host: cluster.host, bytes };
    return bytes;
  }
}

import { QevmError } from "../../../bytes/errors.js";
import { fileSize } from "../../../bytes/text.js";
import { QemuFileReader } from "../../../bytes/reader.js";
import { StreamReader } from "../../../codec/stream/index.js";
import { decodeQcow2Header, Incompatible, type Qcow2Header } from "./header.js";
import { ClusterMap, type Cluster } from "./map.js";
import { exactly, readSnapshots, snapshotDate, vmStateSize, type Qcow2Snapshot } from "./snapshots.js";
import { readPiece } from "../sources.js";
import { MemorySource, type ByteSource, type RandomSource } from "../../../bytes/source.js";
import { ZstdDecoder } from "../../../engine/zstd-decoder.js";
import { inflateRaw } from "../compressed/inflate-raw.js";
import { unzstd } from "../compressed/zstd.js";

/** A qcow2 image: its header, its snapshots, and the name of its external data file. */
interface Qcow2Image {
  header: Qcow2Header;
  snapshots: Qcow2Snapshot[];
  dataFile: string | undefined;
}

/** Reads header, extensions and snapshot table. Errors: as their decoders. */
export async function readQcow2(source: RandomSource, snapshotBytes?: number): Promise<Qcow2Image> {
  const head = await readPiece(source, 0, 4096);
  const header = decodeQcow2Header(head);
  return {
    header,
    snapshots: await readSnapshots(source, header, snapshotBytes),
    dataFile: dataFileName(head, header),
  };
}

/**
 * The name in the header extension 0x44415441 ("DATA"). Extensions: be32 type (0 ends), be32 length, data padded to a
 * multiple of 8.
 */
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
 * The snapshot with a name or id, or the only one with a VM state. A name takes precedence over an id. Of several with
 * one name, the one with a VM state is used. Errors, each with the list of snapshots and the option to type:
 * unsupported (several and none chosen; none with a VM state), usage (none of that name or id, several of that name, no
 * VM state in the chosen one).
 */
export function chooseSnapshot(image: Qcow2Image, wanted: string | undefined): Qcow2Snapshot {
  const { snapshots } = image;
  const withState = snapshots.filter((snapshot) => vmStateSize(snapshot) > 0n);
  const refuse = (what: string, code: "unsupported" | "usage" = "usage"): QevmError => {
    const lines = snapshots.length === 0 ? [] : ["", ...listed(snapshots)];
    const text = [what, ...lines].join("\n  ");
    return new QevmError(code, text, code === "usage" ? {} : { offset: 60, path: ["qcow2 header"] });
  };
  if (wanted === undefined) {
    const [only] = withState;
    if (only === undefined) {
      if (snapshots.length === 0) throw refuse(`a qcow2 image without snapshots: ${ELSEWHERE}`, "unsupported");
      throw refuse(`a qcow2 image whose snapshots hold no VM state: ${ELSEWHERE}`, "unsupported");
    }
    if (withState.length > 1) {
      const what = `the qcow2 image holds several VM states: choose one, as ${option(only, snapshots)}`;
      throw refuse(what, "unsupported");
    }
    return only;
  }
  const named = snapshots.filter(({ name }) => name === wanted);
  const candidates = named.length > 0 ? named : snapshots.filter(({ id }) => id === wanted);
  const [first, second] = candidates.filter((one) => withState.includes(one));
  if (second !== undefined) throw refuse(`several snapshots are called ${JSON.stringify(wanted)}: choose by id`);
  const found = first ?? candidates[0];
  if (found === undefined) throw refuse(`no snapshot ${JSON.stringify(wanted)} in the qcow2 image`);
  if (vmStateSize(found) === 0n) {
    throw refuse(`snapshot ${JSON.stringify(wanted)} of the qcow2 image holds no VM state: ${ELSEWHERE}`);
  }
  return found;
}

/** Hint for a snapshot without VM state. Source: QEMU migration/savevm.c (the VM state is written to one disk only). */
const ELSEWHERE =
  "a snapshot puts the VM state into one of the VM's images, and into the others the disk alone; try its other images";

/** The snapshot as an argument of `--snapshot`: the name, unless it is ambiguous. */
function option({ id, name }: Qcow2Snapshot, all: readonly Qcow2Snapshot[]): string {
  const clear = /^[\w.:@+-]+$/u.test(name) && all.filter((one) => one.name === name || one.id === name).length === 1;
  return `--snapshot ${clear ? name : id}`;
}

/** Maximum number of snapshots listed in an error. */
const MOST_LISTED = 50;

function listed(snapshots: readonly Qcow2Snapshot[]): string[] {
  const lines = snapshots.slice(0, MOST_LISTED).map((snapshot) => {
    const { id, name } = snapshot;
    const size = Number(vmStateSize(snapshot));
    const state = size === 0 ? "no VM state" : `VM state of ${fileSize(size)}, ${option(snapshot, snapshots)}`;
    return `${JSON.stringify(name)}, id ${id}, ${snapshotDate(snapshot)}: ${state}`;
  });
  const left = snapshots.length - lines.length;
  return left > 0 ? [...lines, `and ${left} more`] : lines;
}

/**
 * The VM state of a snapshot as a source. Errors: as `ClusterMap.read`; unsupported (encryption, external data file).
 */
export async function openVmState(
  source: RandomSource,
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
  const map = await ClusterMap.read(source, header, snapshot);
  const state = new VmStateSource(source, image.header, map);
  if (await isMappedRam(state)) await map.extend();
  return state;
}

/** Bytes read to check whether a state is a mapped-ram stream. */
const HEAD_BYTES = 4096;

/** Whether the state is a mapped-ram stream, by its configuration or the first RAMBlock. */
async function isMappedRam(state: RandomSource): Promise<boolean> {
  const head = await readPiece(state, 0, Math.min(HEAD_BYTES, state.length));
  const reader = new StreamReader(new MemorySource(head));
  try {
    for await (const item of reader) if (item.kind !== "header") break;
  } catch (error) {
    // The reader of the stream reports the error.
    if (!(error instanceof QevmError)) throw error;
  }
  return reader.capabilities.includes("mapped-ram");
}

/** Reads the state cluster by cluster. */
class VmStateSource implements ByteSource {
  readonly within: readonly string[];
  private position = 0;
  /** The compressed cluster that was read last. */
  private last: { host: number; bytes: Uint8Array } | undefined;
  /** For all zstd clusters of the image. */
  private zstd: ZstdDecoder | undefined;

  constructor(
    private readonly image: RandomSource,
    private readonly header: Qcow2Header,
    private readonly map: ClusterMap,
  ) {
    this.within = [`VM state of qcow2 snapshot ${JSON.stringify(map.snapshot.name)}`];
  }

  get length(): number {
    return this.map.length;
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
      await this.fill(this.map.clusterAt(position + done), at, piece);
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

  /** Zeroes subclusters without data. */
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
        bytes = inflateRaw(packed, clusterSize);
      } else {
        let used = 0;
        this.zstd ??= await ZstdDecoder.create();
        for await (const piece of unzstd(QemuFileReader.over(packed, cluster.host), { decoder: this.zstd })) {
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

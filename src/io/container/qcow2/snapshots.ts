import { QevmError } from "../../../bytes/errors.js";
import { struct, u16be, u32be, u64be } from "../../../bytes/layout.js";
import type { Qcow2Header } from "./header.js";
import { DEFAULT_LIMITS } from "../../../codec/stream/limits.js";
import { readPiece } from "../sources.js";
import { type RandomSource } from "../../../bytes/source.js";

/**
 * An entry of the snapshot table, big-endian, each beginning at a multiple of 8:
 *
 * | offset     | size | field                           | offset   | size | field                                   |
 * | ---------- | ---- | ------------------------------- | -------- | ---- | --------------------------------------- |
 * | 0          | be64 | L1 table offset                 | 32       | be32 | VM state size, when below 4 GiB         |
 * | 8          | be32 | L1 entries                      | 36       | be32 | extra data size                         |
 * | 12         | be16 | id length                       | 40       | be64 | VM state size (extra data of 8 and more)|
 * | 14         | be16 | name length                     | 48       | be64 | virtual disk size (16 and more)         |
 * | 16         | be32 | date, seconds since 1970        | 56       | be64 | icount, all ones: none (24 and more)    |
 * | 20         | be32 | date, nanoseconds               | 40+extra |      | id, name, zeros up to a multiple of 8   |
 * | 24         | be64 | guest clock, nanoseconds        |          |      |                                         |
 *
 * Source: QEMU docs/interop/qcow2.txt, 7.2.
 */
export interface Qcow2Snapshot {
  l1TableOffset: bigint;
  l1Size: number;
  dateSeconds: number;
  dateNanoseconds: number;
  clockNanoseconds: bigint;
  vmStateSize32: number;
  /** The rest of the extra data, after the known fields. */
  extra: { vmStateSize?: bigint; diskSize?: bigint; icount?: bigint; rest: Uint8Array };
  id: string;
  name: string;
}

export const SNAPSHOT_LAYOUT = struct({
  l1TableOffset: u64be,
  l1Size: u32be,
  idLength: u16be,
  nameLength: u16be,
  dateSeconds: u32be,
  dateNanoseconds: u32be,
  clockNanoseconds: u64be,
  vmStateSize32: u32be,
  extraLength: u32be,
});

type Fixed = ReturnType<typeof SNAPSHOT_LAYOUT.decode>;

/** QEMU's own limits: 65,536 snapshots, 1 KiB of extra data each. */
const MOST = 65_536;
const MOST_EXTRA = 1024;

/** Size of a snapshot's VM state in bytes; 0 for a disk-only snapshot. */
export function vmStateSize(snapshot: Qcow2Snapshot): bigint {
  return snapshot.extra.vmStateSize ?? BigInt(snapshot.vmStateSize32);
}

/** Creation time: ISO 8601, UTC. */
export function snapshotDate({ dateSeconds, dateNanoseconds }: Qcow2Snapshot): string {
  return new Date(dateSeconds * 1000 + Math.floor(dateNanoseconds / 1e6)).toISOString();
}

/** Reads the snapshot table. Errors: truncated, limit, bad-offset. */
export async function readSnapshots(
  source: RandomSource,
  header: Qcow2Header,
  snapshotBytes = DEFAULT_LIMITS.snapshotBytes,
): Promise<Qcow2Snapshot[]> {
  if (header.snapshots > MOST) {
    throw new QevmError("limit", "qcow2 snapshots", {
      offset: 60,
      path: ["qcow2 header"],
      expected: `at most ${MOST}`,
      found: `${header.snapshots}`,
    });
  }
  const snapshots: Qcow2Snapshot[] = [];
  let at = Number(header.snapshotsOffset);
  for (let k = 0; k < header.snapshots; k++) {
    const path = ["qcow2 snapshot table", `snapshot ${k}`];
    if (at % 8 !== 0)
      throw new QevmError("bad-offset", "qcow2 snapshot table", { offset: 64, path: ["qcow2 header"], found: `${at}` });
    const fixed = SNAPSHOT_LAYOUT.decode(await exactly(source, at, 40, path));
    if (fixed.extraLength > MOST_EXTRA) {
      throw new QevmError("limit", "extra data of a qcow2 snapshot", {
        offset: at + 36,
        path,
        expected: `at most ${MOST_EXTRA}`,
        found: `${fixed.extraLength}`,
      });
    }
    const length = 40 + fixed.extraLength + fixed.idLength + fixed.nameLength;
    const bytes = at + length - Number(header.snapshotsOffset);
    if (bytes > snapshotBytes) {
      throw new QevmError("limit", "qcow2 snapshot table", {
        offset: at,
        path,
        expected: `at most ${snapshotBytes} bytes (snapshotBytes)`,
        found: `${bytes} or more`,
      });
    }
    const entry = await exactly(source, at, length, path);
    snapshots.push(decodeSnapshot(entry, fixed));
    at += Math.ceil(length / 8) * 8;
  }
  return snapshots;
}

function decodeSnapshot(entry: Uint8Array, fixed: Fixed): Qcow2Snapshot {
  const { idLength, nameLength, extraLength, ...fields } = fixed;
  const view = new DataView(entry.buffer, entry.byteOffset, entry.byteLength);
  const extra: Qcow2Snapshot["extra"] = {
    rest: entry.slice(40 + Math.min(24, extraLength - (extraLength % 8)), 40 + extraLength),
  };
  if (extraLength >= 8) extra.vmStateSize = view.getBigUint64(40);
  if (extraLength >= 16) extra.diskSize = view.getBigUint64(48);
  if (extraLength >= 24) extra.icount = view.getBigUint64(56);
  const text = (start: number, length: number): string =>
    new TextDecoder().decode(entry.subarray(start, start + length));
  const idAt = 40 + extraLength;
  return { ...fields, extra, id: text(idAt, idLength), name: text(idAt + idLength, nameLength) };
}

/** Encodes an entry with its padding to a multiple of 8. */
export function encodeSnapshot(snapshot: Qcow2Snapshot): Uint8Array {
  const { extra } = snapshot;
  const id = new TextEncoder().encode(snapshot.id);
  const name = new TextEncoder().encode(snapshot.name);
  const words = [extra.vmStateSize, extra.diskSize, extra.icount].filter((word) => word !== undefined);
  const extraLength = words.length * 8 + extra.rest.length;
  const length = 40 + extraLength + id.length + name.length;
  const bytes = new Uint8Array(Math.ceil(length / 8) * 8);
  const view = new DataView(bytes.buffer);
  SNAPSHOT_LAYOUT.encode({ ...snapshot, idLength: id.length, nameLength: name.length, extraLength }, bytes);
  words.forEach((word, k) => view.setBigUint64(40 + 8 * k, word));
  bytes.set(extra.rest, 40 + 8 * words.length);
  bytes.set(id, 40 + extraLength);
  bytes.set(name, 40 + extraLength + id.length);
  return bytes;
}

/** Reads exactly `length` bytes. Errors: truncated. */
export async function exactly(
  source: RandomSource,
  at: number,
  length: number,
  path: readonly string[],
): Promise<Uint8Array> {
  const bytes =
    at > source.length ? new Uint8Array(0) : await readPiece(source, at, Math.min(length, source.length - at));
  if (bytes.length < length) {
    throw new QevmError("truncated", "the qcow2 image ends inside a table", {
      offset: at,
      path,
      expected: `${length} bytes`,
      found: `${bytes.length}`,
    });
  }
  return bytes;
}

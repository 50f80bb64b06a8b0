import { closeSync, openSync } from "node:fs";
import { hex, QevmError } from "../../bytes/errors.js";
import { attempt, readAll } from "../../io/transport/attempt.js";
import type { Segment } from "../layout-types.js";
import type { PhysicalMemory } from "../walk/index.js";
import type { BlockData } from "./block-data.js";

/** Guest-physical memory in the files of extracted blocks. */
export class PhysicalFiles implements PhysicalMemory {
  constructor(
    readonly segments: readonly Segment[],
    readonly data: BlockData,
  ) {}

  /** Bytes from an address on, as many as are contiguous; undefined where the address is not memory. Errors: io. */
  read(address: number, length: number): Buffer | undefined {
    const segment = this.segments.find(({ start, length: bytes }) => start <= address && address < start + bytes);
    if (segment === undefined) return undefined;
    const within = address - segment.start;
    const bytes = Buffer.alloc(Math.min(length, segment.length - within));
    const file = this.data.path(segment.block);
    const fd = attempt(file, () => openSync(file, "r"));
    try {
      return bytes.subarray(0, readAll(file, fd, bytes, segment.offset + within));
    } finally {
      closeSync(fd);
    }
  }

  /** Errors: usage where a part of the range is not memory; io. */
  readPhysical(address: number, length: number): Promise<Uint8Array> {
    const bytes = this.read(address, length);
    if (bytes?.length === length) return Promise.resolve(bytes);
    return Promise.reject(new QevmError("usage", `${hex(address)} is not memory`));
  }
}

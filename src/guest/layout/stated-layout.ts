import { QevmError } from "../../bytes/errors.js";
import { joinSegments } from "./layout.js";
import type { Layout } from "../layout-types.js";

/** One part of `--layout`. */
export interface StatedPart {
  text: string;
  block: string;
  start: number;
  /** Both or none; default: the whole block. */
  offset: number | undefined;
  length: number | undefined;
}

const PART = /^(?<block>.+)@(?<start>0x[0-9a-f]+|\d+)(?::(?<offset>0x[0-9a-f]+|\d+):(?<length>0x[0-9a-f]+|\d+))?$/iu;

/**
 * Parses `--layout`, before the stream is read: `BLOCK@ADDRESS[:OFFSET:LENGTH]`, separated by commas. Errors: usage.
 */
export function parseLayout(text: string): StatedPart[] {
  return text.split(",").map((part) => {
    const { block, start, offset, length } = PART.exec(part.trim())?.groups ?? {};
    const numbers = [start, offset, length].map((digits) => (digits === undefined ? undefined : Number(digits)));
    if (block === undefined || numbers.some((value) => value !== undefined && !Number.isSafeInteger(value)))
      throw refuse(part);
    return { text: part, block, start: numbers[0]!, offset: numbers[1], length: numbers[2] };
  });
}

/** The stated layout, applied to a stream's blocks. Errors: usage. */
export function stateLayout(parts: readonly StatedPart[], blocks: readonly { name: string; length: number }[]): Layout {
  const segments = parts.map(({ text, block: name, start, offset = 0, length }) => {
    const block = blocks.find((one) => one.name === name);
    if (block === undefined) throw refuse(text);
    const bytes = length ?? block.length;
    if (offset + bytes > block.length)
      throw new QevmError("usage", `--layout: ${JSON.stringify(name)} has ${block.length} bytes`);
    return { start, length: bytes, block: name, offset };
  });
  const joined = joinSegments(segments);
  joined.forEach((segment, k) => {
    const next = joined[k + 1];
    if (next !== undefined && segment.start + segment.length > next.start) {
      throw new QevmError(
        "usage",
        `--layout: ${JSON.stringify(segment.block)} and ${JSON.stringify(next.block)} overlap`,
      );
    }
  });
  return { segments: joined, how: ["as stated by --layout"] };
}

function refuse(part: string): QevmError {
  return new QevmError(
    "usage",
    `--layout takes BLOCK@ADDRESS[:OFFSET:LENGTH],... of blocks in the stream, not ${JSON.stringify(part)}`,
  );
}

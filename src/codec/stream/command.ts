import { hexOf } from "../../bytes/text.js";
import { hex, QevmError, type Diagnostics } from "../../bytes/errors.js";
import type { QemuFileReader } from "../../bytes/reader.js";
import { fromLatin1, type QemuFileWriter } from "../../bytes/writer.js";
import type { StreamLimits } from "./limits.js";
import { TypeByte } from "./types.js";

/**
 * VM commands: u8 0x08, be16 number, be16 length, payload. PACKAGED alone is followed by something outside its length:
 * the sections and commands of the package.
 *
 * | number | name                | payload                                             | since      |
 * |--------|---------------------|-----------------------------------------------------|------------|
 * | 1      | OPEN_RETURN_PATH    |                                                     | 2.5        |
 * | 2      | PING                | be32 value                                          | 2.5        |
 * | 3      | POSTCOPY_ADVISE     | nothing (2.12), or be64 page sizes, be64 page size  | 2.5        |
 * | 4      | POSTCOPY_LISTEN     |                                                     | 2.5        |
 * | 5      | POSTCOPY_RUN        |                                                     | 2.5        |
 * | 6      | POSTCOPY_RAM_DISCARD | u8 0, str8 block, u8 0, ranges: be64 start, be64 length | 2.5   |
 * | 7      | PACKAGED            | be32 length of the package                          | 2.5        |
 * | 8      | ENABLE_COLO         |                                                     | 3.1        |
 * | 9      | POSTCOPY_RESUME     |                                                     | 3.0 (as 8) |
 * | 10     | RECV_BITMAP         | str8 block                                          | 3.0 (as 9) |
 * | 11     | SWITCHOVER_START    |                                                     | 10.0       |
 *
 * Source: QEMU migration/savevm.c (5.2 to 11.1).
 */
export type Command =
  | { name: BareCommand }
  /** Asks for a PONG with the same value: 1 to 4 at known places, 0x42 in a package of 10.2 and later. */
  | { name: "PING"; value: number }
  /** `ram` is absent where only dirty bitmaps are to be sent after the switch. */
  | { name: "POSTCOPY_ADVISE"; ram?: PostcopyPageSizes }
  /**
   * Pages that were sent and have become dirty again: the destination drops them. QEMU sends up to 12 ranges at a time.
   */
  | { name: "POSTCOPY_RAM_DISCARD"; block: string; ranges: DiscardRange[] }
  /** The next `length` bytes are sections and commands that the destination holds back until it has all of them. */
  | { name: "PACKAGED"; length: number }
  /** Asks which pages of a block have arrived, to go on with a broken postcopy migration. */
  | { name: "RECV_BITMAP"; block: string }
  /** Lenient only: a number that no QEMU up to 11.1 knows, or a payload that breaks the layout. */
  | { name: "OPAQUE"; number: number; payload: Uint8Array };

/** Commands that consist of their number only. */
export type BareCommand =
  "OPEN_RETURN_PATH" | "POSTCOPY_LISTEN" | "POSTCOPY_RUN" | "ENABLE_COLO" | "POSTCOPY_RESUME" | "SWITCHOVER_START";

/** What the two ends must agree on before postcopy. */
export interface PostcopyPageSizes {
  /** The page sizes of all RAM blocks, bytes, ORed (2.5 to 2.8: the host's page size alone). */
  pageSizes: bigint;
  /** Target page size, bytes. */
  pageSize: bigint;
}

/** Bytes of a RAM block. */
export interface DiscardRange {
  start: number;
  length: number;
}

/** Numbers of the VM commands (QEMU migration/savevm.c, 2.5 to 11.1). */
export const CommandNumber = {
  INVALID: 0,
  OPEN_RETURN_PATH: 1,
  PING: 2,
  POSTCOPY_ADVISE: 3,
  POSTCOPY_LISTEN: 4,
  POSTCOPY_RUN: 5,
  POSTCOPY_RAM_DISCARD: 6,
  PACKAGED: 7,
  ENABLE_COLO: 8,
  POSTCOPY_RESUME: 9,
  RECV_BITMAP: 10,
  SWITCHOVER_START: 11,
} as const;

const NAMES: readonly string[] = Object.keys(CommandNumber);

/** Bytes before the payload. */
export const COMMAND_HEADER = 5;

/** Payload lengths that QEMU's loader insists on. */
const LENGTHS: Readonly<Record<number, readonly number[]>> = {
  1: [0],
  2: [4],
  3: [0, 16],
  4: [0],
  5: [0],
  7: [4],
  8: [0],
  9: [0],
  11: [0],
};

/** The name of a command, or "COMMAND_n" for one that no QEMU up to 11.1 defines. */
export function commandName(command: Command): string {
  return command.name === "OPAQUE" ? (NAMES[command.number] ?? `COMMAND_${command.number}`) : command.name;
}

/** A command as plain values, which JSON can hold. */
export interface PlainCommand {
  name: string;
  [field: string]: string | number | DiscardRange[];
}

/** 64-bit values and bytes appear as hex digits. */
export function commandToPlain(command: Command): PlainCommand {
  const name = commandName(command);
  switch (command.name) {
    case "POSTCOPY_ADVISE": {
      const { ram } = command;
      return ram === undefined ? { name } : { name, pageSizes: hex(ram.pageSizes), pageSize: hex(ram.pageSize) };
    }
    case "OPAQUE": {
      return { name, number: command.number, payload: hexOf(command.payload) };
    }
    default:
      return { ...command };
  }
}

/** Whether a number is that of a command. */
export function isCommandNumber(number: number): boolean {
  return number > 0 && number < NAMES.length;
}

/** Whether a command's head could be QEMU's: a number that there is, with a length that it can have. */
export function isCommandHead(number: number, length: number): boolean {
  return isCommandNumber(number) && length >= 0 && (LENGTHS[number]?.includes(length) ?? true);
}

/**
 * Reads a command, its type byte included; for PACKAGED the reader is then at the package.
 * Errors: truncated, limit; lenient mode skips unknown-type, bad-length and bad-value.
 */
export async function decodeCommand(
  reader: QemuFileReader,
  limits: StreamLimits,
  diagnostics: Diagnostics,
): Promise<Command> {
  await reader.need(COMMAND_HEADER, "command");
  const number = reader.peek(1) * 256 + reader.peek(2);
  const length = reader.peek(3) * 256 + reader.peek(4);
  const name = NAMES[number] ?? `COMMAND_${number}`;
  reader.path.push(`command ${name}`);
  // Nothing is consumed before all of it is there, so a truncated command stays unread.
  await reader.need(COMMAND_HEADER + length, `command ${name}`);
  reader.skip(COMMAND_HEADER);
  const start = reader.position;
  let command: Command;
  try {
    command = decodePayload(reader, number, length);
  } catch (error) {
    if (!(error instanceof QevmError)) throw error;
    diagnostics.anomaly(error);
    reader.position = start;
    command = { name: "OPAQUE", number, payload: reader.bytes(length) };
  }
  if (command.name === "PACKAGED" && command.length > limits.packagedBytes) {
    throw reader.error("limit", "length of the package", {
      offset: reader.offset - 4,
      expected: `at most ${limits.packagedBytes} bytes`,
      found: `${command.length}`,
    });
  }
  reader.path.pop();
  return command;
}

/**
 * Writes a COMMAND with its payload; of PACKAGED the length in bytes alone, for the package follows as it is. Errors:
 * does-not-fit (a name of more than 255 bytes, a value that its field cannot hold).
 */
export function encodeCommand(writer: QemuFileWriter, command: Command): void {
  writer.u8(TypeByte.COMMAND);
  writer.u16(command.name === "OPAQUE" ? command.number : CommandNumber[command.name]);
  switch (command.name) {
    case "PING":
      writer.u16(4);
      writer.u32(command.value);
      break;
    case "POSTCOPY_ADVISE":
      writer.u16(command.ram === undefined ? 0 : 16);
      if (command.ram === undefined) break;
      writer.u64(command.ram.pageSizes);
      writer.u64(command.ram.pageSize);
      break;
    case "POSTCOPY_RAM_DISCARD":
      encodeDiscard(writer, command.block, command.ranges);
      break;
    case "PACKAGED":
      writer.u16(4);
      writer.u32(command.length);
      break;
    case "RECV_BITMAP":
      writer.u16(1 + command.block.length);
      writer.string8(command.block, "block name");
      break;
    case "OPAQUE":
      writer.u16(command.payload.length);
      writer.bytes(command.payload);
      break;
    default:
      writer.u16(0);
  }
}

function decodePayload(reader: QemuFileReader, number: number, length: number): Command {
  const start = reader.offset;
  if (!isCommandNumber(number)) {
    throw reader.error("unknown-type", "unknown command", {
      offset: start - 4,
      expected: `1 to ${NAMES.length - 1}`,
      found: `${number}`,
    });
  }
  const lengths = LENGTHS[number];
  if (lengths !== undefined && !lengths.includes(length)) throw badLength(reader, lengths.join(" or "), length);
  switch (number) {
    case CommandNumber.PING:
      return { name: "PING", value: reader.u32() };
    case CommandNumber.POSTCOPY_ADVISE:
      if (length === 0) return { name: "POSTCOPY_ADVISE" };
      return { name: "POSTCOPY_ADVISE", ram: { pageSizes: reader.u64(), pageSize: reader.u64() } };
    case CommandNumber.POSTCOPY_RAM_DISCARD:
      return decodeDiscard(reader, length);
    case CommandNumber.PACKAGED:
      return { name: "PACKAGED", length: reader.u32() };
    case CommandNumber.RECV_BITMAP: {
      if (length === 0 || length !== 1 + reader.peek()) throw badLength(reader, "1 and the block's name", length);
      return { name: "RECV_BITMAP", block: reader.string8("block name") };
    }
    default:
      return { name: NAMES[number] as BareCommand };
  }
}

/** u8 0, str8 block, u8 0, then at least one range. */
function decodeDiscard(reader: QemuFileReader, length: number): Command {
  if (length < 20) throw badLength(reader, "at least 20", length);
  const head = 3 + reader.peek(1);
  if (length < head + 16 || (length - head) % 16 !== 0) {
    throw badLength(reader, `${head} and 16 a range`, length);
  }
  zeroByte(reader, "version of the discarded ranges");
  const block = reader.string8("block name");
  zeroByte(reader, "byte after the block name");
  const ranges: DiscardRange[] = [];
  for (let left = length - head; left > 0; left -= 16) {
    ranges.push({ start: reader.length64("start of a range"), length: reader.length64("length of a range") });
  }
  return { name: "POSTCOPY_RAM_DISCARD", block, ranges };
}

function encodeDiscard(writer: QemuFileWriter, name: string, ranges: readonly DiscardRange[]): void {
  const block = fromLatin1(name, "block name");
  writer.u16(3 + block.length + 16 * ranges.length);
  writer.u8(0);
  writer.string8(name, "block name");
  writer.u8(0);
  for (const { start, length } of ranges) {
    writer.length64(start);
    writer.length64(length);
  }
}

function zeroByte(reader: QemuFileReader, what: string): void {
  const found = reader.u8();
  if (found !== 0)
    throw reader.error("bad-value", what, { offset: reader.offset - 1, expected: "0", found: `${found}` });
}

/** The reader is at the payload. */
function badLength(reader: QemuFileReader, expected: string, found: number): QevmError {
  return reader.error("bad-length", "length of the command", {
    offset: reader.offset - 2,
    expected,
    found: `${found}`,
  });
}

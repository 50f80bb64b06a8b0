import type { Diagnostics } from "../errors.js";
import type { QemuFileReader } from "../qemu-file/reader.js";
import type { QemuFileWriter } from "../qemu-file/writer.js";
import type { StreamLimits } from "./limits.js";
import { TypeByte } from "./types.js";

/**
 * VM commands: u8 0x08, be16 command, be16 length, payload. PACKAGED alone is followed by a blob outside its length.
 *
 * | command | name                | payload                                        | since |
 * |---------|---------------------|------------------------------------------------|-------|
 * | 1       | OPEN_RETURN_PATH    |                                                | 2.5   |
 * | 2       | PING                | be32 value                                     | 2.5   |
 * | 3       | POSTCOPY_ADVISE     | nothing, or be64 page-size summary, be64 page size | 2.5 |
 * | 4       | POSTCOPY_LISTEN     |                                                | 2.5   |
 * | 5       | POSTCOPY_RUN        |                                                | 2.5   |
 * | 6       | POSTCOPY_RAM_DISCARD | u8 0, str8 block, u8 0, 1 to 12 times be64 start, be64 length | 2.5 |
 * | 7       | PACKAGED            | be32 length; then the blob                     | 2.5   |
 * | 8       | ENABLE_COLO         |                                                | 3.1   |
 * | 9       | POSTCOPY_RESUME     |                                                | 3.0 (as 8) |
 * | 10      | RECV_BITMAP         | str8 block                                     | 3.0 (as 9) |
 * | 11      | SWITCHOVER_START    |                                                | 10.0  |
 *
 * Source: QEMU migration/savevm.c (5.2 to 10.1).
 */
export interface Command {
  command: number;
  /** The payload as it is on the wire; see `describeCommand` for its fields. */
  payload: Uint8Array;
  /** PACKAGED: the nested list of sections and commands. */
  blob?: Uint8Array;
}

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
export function commandName(command: number): string {
  return NAMES[command] ?? `COMMAND_${command}`;
}

/** Reads a command, its type byte included. Errors: truncated, limit; unknown-type and bad-length may be passed over. */
export async function decodeCommand(
  reader: QemuFileReader,
  limits: StreamLimits,
  diagnostics: Diagnostics,
): Promise<Command> {
  const at = reader.offset;
  await reader.need(5, "command");
  reader.skip(1);
  const command = reader.u16();
  const length = reader.u16();
  if (command === 0 || command >= NAMES.length) {
    diagnostics.anomaly(
      reader.error("unknown-type", "unknown command", { offset: at + 1, expected: "1 to 11", found: `${command}` }),
    );
  }
  const lengths = LENGTHS[command];
  if (lengths !== undefined && !lengths.includes(length)) {
    diagnostics.anomaly(
      reader.error("bad-length", `length of ${commandName(command)}`, {
        offset: at + 3,
        expected: lengths.join(" or "),
        found: `${length}`,
      }),
    );
  }
  await reader.need(length, `payload of ${commandName(command)}`);
  const payload = reader.bytes(length);
  if (command !== CommandNumber.PACKAGED || length !== 4) return { command, payload };
  const size = new DataView(payload.buffer).getUint32(0);
  if (size > limits.packagedBytes) {
    throw reader.error("limit", "PACKAGED blob", {
      offset: at + 5,
      expected: `at most ${limits.packagedBytes} bytes`,
      found: `${size}`,
    });
  }
  await reader.needLarge(size, "PACKAGED blob");
  return { command, payload, blob: reader.bytes(size) };
}

export function encodeCommand(writer: QemuFileWriter, command: Command): void {
  writer.u8(TypeByte.COMMAND);
  writer.u16(command.command);
  writer.u16(command.payload.length);
  writer.bytes(command.payload);
  if (command.blob !== undefined) writer.bytes(command.blob);
}

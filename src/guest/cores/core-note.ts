/** One note of an ELF core. */
export interface CoreNote {
  name: string;
  /** n_type: 1 NT_PRSTATUS, 2 NT_FPREGSET, others by name. */
  type: number;
  content: Uint8Array;
}

/** The notes of one CPU in a core. */
export interface CoreCpu {
  /** e_machine of a core whose first CPU this is. */
  machine: number;
  /** Byte order of such a core. Notes use the byte order of the first CPU. */
  littleEndian: boolean;
  /** The notes of CPU number `index`, counted from 0. */
  notes: (index: number, littleEndian: boolean) => CoreNote[];
  /** Notes that follow the notes of all CPUs. */
  later?: () => CoreNote[];
}

/** u32 name length, u32 content length, u32 type, name and content, each padded to 4 bytes. */
export function encodeNote({ name, type, content }: CoreNote, littleEndian: boolean): Uint8Array {
  const contentAt = 12 + Math.ceil((name.length + 1) / 4) * 4;
  const bytes = new Uint8Array(contentAt + Math.ceil(content.length / 4) * 4);
  const view = new DataView(bytes.buffer);
  [name.length + 1, content.length, type].forEach((value, k) => view.setUint32(4 * k, value, littleEndian));
  for (let k = 0; k < name.length; k++) bytes[12 + k] = name.charCodeAt(k);
  bytes.set(content, contentAt);
  return bytes;
}

/** A note's content of a fixed length, initially zero. Values are truncated to their field's size. */
export class NoteContent {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #little: boolean;

  constructor(length: number, littleEndian: boolean) {
    this.bytes = new Uint8Array(length);
    this.#view = new DataView(this.bytes.buffer);
    this.#little = littleEndian;
  }

  /** Writes 32-bit values one after the other at byte `at`. */
  u32(at: number, ...values: readonly bigint[]): this {
    values.forEach((value, k) => this.#view.setUint32(at + 4 * k, Number(BigInt.asUintN(32, value)), this.#little));
    return this;
  }

  /** Writes 64-bit values one after the other at byte `at`. */
  u64(at: number, ...values: readonly bigint[]): this {
    values.forEach((value, k) => this.#view.setBigUint64(at + 8 * k, BigInt.asUintN(64, value), this.#little));
    return this;
  }
}

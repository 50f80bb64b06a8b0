import { QemuFileWriter } from "../../bytes/index.js";

/** One value that an encoder wrote. */
interface WrittenValue {
  offset: number;
  length: number;
  value: number | bigint | Uint8Array;
}

/** A writer that keeps no bytes, and remembers which values an encoder wrote and where. */
export class TracedWriter extends QemuFileWriter {
  readonly values: WrittenValue[] = [];

  /** @param start absolute offset of the first value */
  constructor(start: number) {
    super({ write: () => undefined }, undefined, start);
  }

  override u8(value: number): void {
    this.note(1, value);
    super.u8(value);
  }

  override u16(value: number): void {
    this.note(2, value);
    super.u16(value);
  }

  override u32(value: number): void {
    this.note(4, value);
    super.u32(value);
  }

  override u64(value: bigint): void {
    this.note(8, value);
    super.u64(value);
  }

  override length64(value: number): void {
    this.note(8, value);
    super.length64(value);
  }

  override bytes(bytes: Uint8Array): void {
    this.note(bytes.length, bytes);
    super.bytes(bytes);
    void this.flush();
  }

  private note(length: number, value: WrittenValue["value"]): void {
    if (length > 0) this.values.push({ offset: this.offset, length, value });
  }
}

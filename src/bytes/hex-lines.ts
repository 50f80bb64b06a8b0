/** Bytes per line. */
const WIDTH = 16;

/** Formats bytes like `xxd`: address, eight groups of two bytes, the printable characters. */
export class HexLines {
  private readonly line = new Uint8Array(WIDTH);
  private used = 0;

  private address: bigint;

  /** @param address of the first byte; lines begin at this address */
  constructor(address: number | bigint) {
    this.address = BigInt(address);
  }

  /** The lines that are complete now. */
  add(bytes: Uint8Array): string {
    let text = "";
    for (const byte of bytes) {
      this.line[this.used++] = byte;
      if (this.used === WIDTH) text += this.nextLine();
    }
    return text;
  }

  /** The last, partial line, if any. */
  end(): string {
    return this.used === 0 ? "" : this.nextLine();
  }

  private nextLine(): string {
    const bytes = this.line.subarray(0, this.used);
    let digits = "";
    let letters = "";
    bytes.forEach((byte, k) => {
      digits += byte.toString(16).padStart(2, "0") + (k % 2 === 1 ? " " : "");
      letters += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".";
    });
    const text = `${this.address.toString(16).padStart(8, "0")}: ${digits.padEnd(WIDTH * 2.5)} ${letters}\n`;
    this.address += BigInt(this.used);
    this.used = 0;
    return text;
  }
}

/** Stands for `node:crypto`: SHA-256 of bytes that come in pieces, which Web Crypto has not. */
import { Sha256 } from "../../bytes/sha256.js";

class Hash {
  private readonly sum = new Sha256();

  update(data: Uint8Array | string): this {
    this.sum.update(typeof data === "string" ? new TextEncoder().encode(data) : data);
    return this;
  }

  digest(): Digest;
  digest(encoding: "hex" | "base64"): string;
  digest(encoding?: "hex" | "base64"): Digest | string {
    const bytes = new Digest(this.sum.digest());
    return encoding === undefined ? bytes : bytes.toString(encoding);
  }
}

/** Bytes with the text forms that a `Buffer` has. */
class Digest extends Uint8Array {
  override toString(encoding: "hex" | "base64" = "hex", from = 0, to = this.length): string {
    const bytes = [...this.subarray(from, to)];
    if (encoding === "base64") return btoa(String.fromCharCode(...bytes));
    return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }
}

export function createHash(_algorithm: "sha256"): Hash {
  return new Hash();
}

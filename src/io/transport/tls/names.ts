import { QevmError } from "../../../bytes/errors.js";
import { attributesOf } from "./words.js";

/**
 * Peers by name, as QEMU's `authz-list` with glob patterns. The name of a certificate is its distinguished name; its
 * attributes may be written in the certificate's order (`C=GB,O=Lab,CN=host`) or the other way round, since versions of
 * GnuTLS differ. Of PSK it is the user name.
 */
export class AllowedNames {
  private readonly patterns: RegExp[];

  /** @throws QevmError usage, for an empty pattern. */
  constructor(globs: readonly string[]) {
    this.patterns = globs.map((glob) => {
      if (glob.trim() === "") throw new QevmError("usage", "the name of an allowed peer is empty");
      const text = glob.trim().replaceAll(/(?<!\\),\s+/gu, ",");
      return new RegExp(`^${text.replaceAll(/[$()+.?[\\\]^{|}]/gu, "\\$&").replaceAll("*", ".*")}$`, "su");
    });
  }

  /** Whether a name is allowed; without patterns any is. `name`: a subject with one attribute a line, or a user name. */
  allow(name: string): boolean {
    if (this.patterns.length === 0) return true;
    const attributes = attributesOf(name);
    const written = [attributes.join(","), attributes.toReversed().join(",")];
    return this.patterns.some((pattern) => written.some((one) => pattern.test(one)));
  }
}

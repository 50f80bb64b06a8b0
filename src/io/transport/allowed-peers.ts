import { BlockList, isIP } from "node:net";
import { QevmError } from "../../bytes/errors.js";

/** Peers that may connect, by address. */
export class AllowedPeers {
  private readonly list = new BlockList();
  private readonly any: boolean;

  /**
   * Errors: usage.
   * @param allowed addresses (`192.0.2.7`, `2001:db8::7`) or networks (`192.0.2.0/24`); none: any address
   * @param uri where is listened: only `tcp:` has addresses
   */
  constructor(allowed: readonly string[], uri: string) {
    this.any = allowed.length === 0;
    if (!this.any && !uri.startsWith("tcp:"))
      throw new QevmError("usage", "peers are allowed by address", { expected: "tcp:", found: JSON.stringify(uri) });
    for (const one of allowed) {
      const [, address = "", prefix] = /^([^/]+)(?:\/(\d{1,3}))?$/u.exec(one) ?? [];
      const version = isIP(address);
      const bits = version === 6 ? 128 : 32;
      if (version === 0 || Number(prefix ?? 0) > bits) {
        const place = { expected: "ADDRESS or ADDRESS/BITS", found: JSON.stringify(one) };
        throw new QevmError("usage", "no such address of a peer", place);
      }
      this.list.addSubnet(address, Number(prefix ?? bits), version === 6 ? "ipv6" : "ipv4");
    }
  }

  /** Whether a peer with this address may connect. */
  allows(address: string | undefined): boolean {
    if (this.any) return true;
    const plain = (address ?? "").replace(/%.*$/u, "");
    const version = isIP(plain);
    return version !== 0 && this.list.check(plain, version === 6 ? "ipv6" : "ipv4");
  }
}

import { BlockList, isIP } from "node:net";
import { QevmError } from "../../bytes/errors.js";

/** Peers that may connect, by address. */
export class AllowedPeers {
  private readonly list = new BlockList();
  /** Those with a scope (`fe80::7%eth0`): the same address on another link is another machine. */
  private readonly scoped = new Map<string, BlockList>();
  private readonly any: boolean;

  /**
   * Errors: usage.
   * @param allowed addresses (`192.0.2.7`, `2001:db8::7`, `fe80::7%eth0`) or networks (`192.0.2.0/24`); none: any address
   * @param uri where is listened: only `tcp:` has addresses
   */
  constructor(allowed: readonly string[], uri: string) {
    this.any = allowed.length === 0;
    if (!this.any && !uri.startsWith("tcp:"))
      throw new QevmError("usage", "peers are allowed by address", { expected: "tcp:", found: JSON.stringify(uri) });
    for (const one of allowed) {
      const [, address = "", scope, prefix] = /^([^/%]+)(?:%([^/%]+))?(?:\/(\d{1,3}))?$/u.exec(one) ?? [];
      const version = isIP(address);
      const bits = version === 6 ? 128 : 32;
      if (version === 0 || (scope !== undefined && version !== 6) || Number(prefix ?? 0) > bits) {
        const place = { expected: "ADDRESS or ADDRESS/BITS", found: JSON.stringify(one) };
        throw new QevmError("usage", "no such address of a peer", place);
      }
      const list = scope === undefined ? this.list : (this.scoped.get(scope) ?? new BlockList());
      if (scope !== undefined) this.scoped.set(scope, list);
      list.addSubnet(address, Number(prefix ?? bits), version === 6 ? "ipv6" : "ipv4");
    }
  }

  /** Whether a peer with this address may connect. */
  allows(address: string | undefined): boolean {
    if (this.any) return true;
    const [plain = "", scope] = (address ?? "").split("%");
    const version = isIP(plain);
    const family = version === 6 ? "ipv6" : "ipv4";
    const lists = [this.list, ...(scope === undefined ? [] : [this.scoped.get(scope)])];
    return version !== 0 && lists.some((list) => list?.check(plain, family) === true);
  }
}

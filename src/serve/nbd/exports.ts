import type { MemorySpace } from "../../guest/read/space.js";
import { Transmission } from "./protocol.js";

/** One thing that is served under a name. */
export interface NbdExport {
  name: string;
  description: string;
  space: MemorySpace;
}

/** Everything that is served, the default first. */
export class NbdExports {
  constructor(private readonly all: readonly NbdExport[]) {}

  /** The default has the empty name, too. */
  find(name: string): NbdExport | undefined {
    return name === "" ? this.all[0] : this.all.find((one) => one.name === name);
  }

  list(): readonly NbdExport[] {
    return this.all;
  }
}

/** Memory does not change, so what one connection reads, all read. */
export const EXPORT_FLAGS =
  Transmission.HAS_FLAGS |
  Transmission.READ_ONLY |
  Transmission.SEND_FLUSH |
  Transmission.SEND_DF |
  Transmission.CAN_MULTI_CONN;

/** Bytes of a request at most, as every client may assume. */
export const MOST_BYTES = 32 << 20;

import type { QevmError } from "../../bytes/errors.js";
import { serve, type ServeOptions } from "../serve.js";
import type { NbdExports } from "./exports.js";
import { negotiate } from "./negotiate.js";
import { transmit } from "./transmit.js";

export { NbdExports, type NbdExport } from "./exports.js";

/** Clients at a time; nbdcopy opens four connections. */
const MOST = 16;

export interface NbdOptions extends Omit<ServeOptions, "most"> {
  /** Called with memory that could not be read in the middle of a reply, so that the client was disconnected. */
  onTrouble?: (error: QevmError) => void;
}

/** Serves guest memory to NBD clients at `tcp:HOST:PORT` or `unix:PATH`, read-only. Errors: usage, io. */
export async function serveNbd(
  uri: string,
  exports: NbdExports,
  { onTrouble = () => undefined, ...options }: NbdOptions = {},
): Promise<void> {
  await serve(uri, { ...options, most: MOST }, async (peer) => {
    const session = await negotiate(peer, exports);
    if (session !== undefined) await transmit(peer, session, onTrouble);
  });
}

/** The NBD URI of what listens at `tcp:HOST:PORT` or `unix:PATH`. */
export function nbdUri(uri: string): string {
  if (uri.startsWith("unix:")) return `nbd+unix:///?socket=${encodeURI(uri.slice(5))}`;
  const [, host = "", port = ""] = /^tcp:(.*):(\d+)$/u.exec(uri) ?? [];
  return `nbd://${host === "" ? "localhost" : host}:${port}/`;
}

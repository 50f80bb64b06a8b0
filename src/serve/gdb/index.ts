import { serve, type ServeOptions } from "../serve.js";
import type { SavedGuest } from "./guest.js";
import type { MonitorTools } from "./monitor.js";
import { debug } from "./session.js";

export { SavedGuest } from "./guest.js";
export type { MonitorTools } from "./monitor.js";

/** Debuggers at a time. */
const MOST = 4;

/**
 * Lets debuggers look at a saved guest at `tcp:HOST:PORT` or `unix:PATH`, by GDB's remote protocol. All see what one of
 * them writes. Errors: usage, io.
 */
export async function serveGdb(
  uri: string,
  guest: SavedGuest,
  tools: MonitorTools,
  options: Omit<ServeOptions, "most"> = {},
): Promise<void> {
  await serve(uri, { ...options, most: MOST }, async (peer) => await debug(peer, guest, tools));
}

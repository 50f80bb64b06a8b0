/** A saved guest that debuggers are served, for the chapter on `qevm gdb`. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { MemorySource } from "../../src/bytes/index.js";
import { layoutOf, scanPages } from "../../src/guest/read/guest-memory.js";
import { SavedGuest, serveGdb, type MonitorTools } from "../../src/serve/gdb/index.js";
import { whileServing } from "../../tools/clients/serving.js";

/** A folder for the time of the tests. */
export const work = mkdtempSync(join(tmpdir(), "qevm-gdb-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

const NO_TOOLS: MonitorTools = { devices: async () => await Promise.resolve([]), save: undefined };
/** A gdb that is installed; undefined: none. */
export const GDB = ["gdb-multiarch", "gdb"].find((name) => spawnSync(name, ["--version"]).status === 0);

let sockets = 0;

/** The guest in a stream. */
export async function savedGuest(bytes: Uint8Array): Promise<SavedGuest> {
  const pages = await scanPages(new MemorySource(bytes), { devices: true });
  return new SavedGuest(pages, layoutOf(pages));
}

/** Serves a guest at a unix socket for as long as `ask` runs. */
export async function serving(
  guest: SavedGuest,
  ask: (path: string) => Promise<void>,
  { tools = NO_TOOLS, stalled }: { tools?: MonitorTools; stalled?: number } = {},
): Promise<void> {
  const path = join(work, `${sockets++}.sock`);
  const more = stalled === undefined ? {} : { stalled };
  await whileServing(
    async (how) => await serveGdb(`unix:${path}`, guest, tools, { ...how, ...more }),
    async () => await ask(path),
  );
}

/** Guest memory served to NBD clients of the same process. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { MemorySource } from "../../src/bytes/index.js";
import { layoutOf, scanPages, type GuestPages } from "../../src/guest/read/guest-memory.js";
import { MemorySpace } from "../../src/guest/read/space.js";
import { NbdExports, serveNbd, type NbdOptions } from "../../src/serve/nbd/index.js";
import { whileServing } from "../../tools/clients/serving.js";
import { corpusEntry } from "../../tools/corpus.js";
import { contexts, NbdClient } from "./nbd-client.js";

/** A folder for the chapter's files, removed at the end. */
export const work = mkdtempSync(join(tmpdir(), "qevm-nbd-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

export let sockets = 0;

/** Serves memory while `ask` runs. */
export async function serving(
  exports: NbdExports,
  ask: (path: string) => Promise<void>,
  options: NbdOptions = {},
): Promise<void> {
  const path = join(work, `${sockets++}.sock`);
  await whileServing(
    async (how) => await serveNbd(`unix:${path}`, exports, { ...options, ...how }),
    async () => await ask(path),
  );
}

export function exportsOf(pages: GuestPages): NbdExports {
  const physical = MemorySpace.physical(pages, layoutOf(pages));
  const ram = MemorySpace.block(pages, "pc.ram");
  return new NbdExports([
    { name: "physical", description: "all", space: physical },
    { name: "pc.ram", description: "RAM", space: ram },
  ]);
}

export async function scanned(name: string): Promise<GuestPages> {
  return await scanPages(new MemorySource(corpusEntry(name).open()), { devices: true });
}

/** A client past the negotiation. */
export async function ready(path: string): Promise<NbdClient> {
  const client = await NbdClient.connect(path);
  await client.greet();
  client.option(8);
  await client.reply();
  client.option(10, contexts("", "base:allocation"));
  await client.reply();
  await client.reply();
  await client.go();
  return client;
}

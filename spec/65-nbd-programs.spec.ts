/** Guest memory over NBD by programs that know nothing of ours: nbdcopy, nbdinfo, qemu-img; and `qevm serve nbd`. */
import { spawn, spawnSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test from "tape";
import { layoutOf, scanPages } from "../src/guest/read/guest-memory.js";
import { indexedPages, variantOf } from "../src/guest/read/indexed-pages.js";
import { MemorySpace } from "../src/guest/read/space.js";
import { openInput } from "../src/io/container/index.js";
import { NbdExports } from "../src/serve/nbd/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { NbdClient } from "./support/nbd-client.js";
import { PROGRAM, qevm } from "./support/program.js";
import { flatDocument } from "./support/document.js";
import { exportsOf, ready, scanned, serving, work } from "./support/nbd-serving.js";
import { sha256Of } from "../tools/sha256.js";

const missing = ["nbdcopy", "nbdinfo", "qemu-img"].filter((tool) => spawnSync(tool, ["--version"]).status !== 0);
const needsTools = missing.length === 0 ? {} : { skip: `not installed: ${missing.join(", ")}` };

/** Runs a program that talks to a server of this process. */
async function runTool(command: string, ...args: readonly string[]): Promise<{ code: number | null; text: string }> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], timeout: 60_000 });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes: Buffer) => (text += String(bytes)));
  const code = await new Promise<number | null>((resolve, reject) => child.on("error", reject).on("close", resolve));
  return { code, text };
}

const URI = (path: string, name = ""): string => `nbd+unix:///${name}?socket=${path}`;

for (const name of ["live", "compress-live", "xbzrle", "pc-fill"]) {
  test(`nbdcopy of a saved guest is pmemsave of the same guest: ${name}`, needsTools, async (t) => {
    const { truth } = corpusEntry(name);
    const pages = await scanned(name);
    await serving(exportsOf(pages), async (path) => {
      const out = join(work, name);
      const copied = await runTool("nbdcopy", URI(path), out);
      t.equal(copied.code, 0, copied.text);
      const bytes = readFileSync(out);
      let compared = 0;
      for (const { start, length, sha256: shown } of truth.pmemsave) {
        if (start + length > bytes.length) continue;
        t.equal(sha256Of(bytes.subarray(start, start + length)), shown, `0x${start.toString(16)}`);
        compared++;
      }
      t.ok(compared > 0, `${compared} ranges`);
      const block = truth.blocks.find((one) => one.name === "pc.ram")!;
      const converted = await runTool("qemu-img", "convert", "-O", "raw", URI(path, "pc.ram"), `${out}.ram`);
      t.equal(converted.code, 0, converted.text);
      t.equal(sha256Of(readFileSync(`${out}.ram`)), block.sha256, "qemu-img convert of pc.ram");
      t.ok(statSync(`${out}.ram`).blocks * 512 < block.length, "a copy is sparse");
    });
    t.end();
  });
}

test("nbdinfo shows the holes, by a scan and by an index", needsTools, async (t) => {
  const file = join(work, "live.mig");
  writeFileSync(file, corpusEntry("live").open());
  for (const how of ["scan", "index made", "index used"]) {
    const input = await openInput(file);
    const options = { devices: true, file, index: `${file}.index`, variant: variantOf([], {}), say: () => undefined };
    const pages = how === "scan" ? await scanPages(input, options) : (await indexedPages(input, options)).pages;
    const layout = how === "index used" ? layoutOf(await scanned("live")) : layoutOf(pages);
    const space = MemorySpace.physical(pages, layout);
    await serving(new NbdExports([{ name: "physical", description: "", space }]), async (path) => {
      const { code, text } = await runTool("nbdinfo", "--map", "--json", URI(path));
      t.equal(code, 0, how);
      const map = JSON.parse(text) as { offset: number; length: number; type: number }[];
      const all = Buffer.alloc(space.size);
      await space.read(0, all);
      let at = 0;
      for (const { offset, length, type } of map) {
        t.equal(offset, at, "one after the other");
        at += length;
        const memory = space.memoryAt(offset, length);
        if ((type & 1) === 1) t.equal(memory, 0, `a hole at 0x${offset.toString(16)} is no memory`);
        else t.equal(memory, length, `0x${offset.toString(16)} is memory`);
        if ((type & 2) === 2)
          t.ok(
            all.subarray(offset, at).every((byte) => byte === 0),
            "zeros where it says so",
          );
      }
      t.equal(at, space.size, "up to the end");
      t.ok(
        map.some(({ offset, type }) => type === 3 && offset >= 0xa0000 && offset < 0x100000),
        "a hole below 1 MiB",
      );
      t.ok(map.filter(({ type }) => type === 2).length > 3 && map.some(({ type }) => type === 0), "zeros and data");
    });
    pages.close();
    await input.close?.();
  }
  t.end();
});

test("qevm serve nbd", async (t) => {
  const file = join(work, "served.mig");
  writeFileSync(file, corpusEntry("live").open());
  const path = join(work, "cli.sock");
  const child = spawn(process.execPath, [
    PROGRAM,
    "serve",
    "nbd",
    file,
    "--listen",
    `unix:${path}`,
    "--once",
    "--json",
  ]);
  let out = "";
  child.stdout.on("data", (text: Buffer) => (out += String(text)));
  while (!out.includes("\n")) await sleep(20);
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const told = flatDocument(out) as { uri: string; nbd: string; exports: { export: string; exportLength: number }[] };
  t.deepEqual(
    [told.uri, told.nbd, told.exports[0]],
    [`unix:${path}`, URI(path), { export: "physical", description: "guest-physical memory", exportLength: 8 << 20 }],
  );
  (await NbdClient.connect(path)).socket.destroy();
  await sleep(600);
  t.equal(child.exitCode, null, "a connection that says nothing is not the last client");
  const client = await ready(path);
  t.ok(typeof (await client.read(0, 4096)) === "object");
  client.socket.destroy();
  t.equal(await ended, 0, "--once ends after the last client");
  for (const [args, message] of [
    [["serve"], /expected nbd/u],
    [["serve", "nbd", file, "--listen", "exec:cat"], /tcp:HOST:PORT or unix:PATH/u],
    [["serve", "nbd", file, "--block", "nothing"], /no RAM block "nothing"/u],
    [["serve", "nbd", file, "--layout", "x"], /--layout takes/u],
  ] as const) {
    const run = await qevm(args);
    t.equal(run.code, 2, args.join(" "));
    t.match(run.stderr, message);
  }
  t.end();
});

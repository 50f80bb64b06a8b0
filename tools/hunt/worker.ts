// One process of the hunt: worker.js FOLDER FIRST-SEED. Each case is recorded in FOLDER/now.json before it is tried.
import { appendFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { QevmError } from "../../src/bytes/errors.js";
import { makeCase } from "../../src/analyse/fuzz/cases.js";
import { unbundle } from "../../src/analyse/fuzz/bundle.js";
import { takeApart, type Parts } from "../../src/analyse/fuzz/parts.js";
import { Random } from "../../src/analyse/fuzz/random.js";
import { UsageError } from "../../src/cli/arguments.js";
import type { Base } from "./bases.js";
import { damageBytes, damageDescription, damageIndex, damageJson, damageName, damageState } from "./mutate.js";

const [folder = "", first = "1", only] = process.argv.slice(2);
const bases = JSON.parse(readFileSync(join(folder, "bases.json"), "utf8")) as Base[];
const streams = bases.filter(({ name }) => name.endsWith(".mig"));
const others = bases.filter((base) => !streams.includes(base));
const parts = new Map<string, Promise<Parts | undefined>>();
const work = join(folder, `case-${process.pid}`);

/** Commands that read a stream, with their outputs. */
const READERS: readonly (readonly string[])[] = [
  ["inspect", "IN", "--json"],
  ["inspect", "IN", "--lenient"],
  ["devices", "IN", "--lenient"],
  ["devices", "IN", "--json"],
  ["verify", "IN"],
  ["verify", "IN", "--lenient"],
  ["explain", "IN"],
  ["explain", "IN", "--json"],
  ["report", "IN", "--out", "OUT"],
  ["extract", "IN", "--format", "raw", "--out", "OUT"],
  ["extract", "IN", "--format", "elf", "--out", "OUT", "--lenient"],
  ["extract", "IN", "--format", "lime", "--out", "OUT"],
  ["extract", "IN", "--format", "blocks", "--out", "OUT", "--lenient"],
  ["read", "IN", "--physical", "0xff0", "--length", "64"],
  ["read", "IN", "--block", "pc.ram", "--lenient"],
  ["diff", "IN", "BASE"],
  ["diff", "BASE", "IN", "--lenient", "--json"],
  ["unpack", "IN", "OUT"],
  ["unpack", "IN", "OUT", "--lenient"],
  ["convert", "IN", "--out", "OUT", "--ram", "normal"],
  ["convert", "IN", "--out", "OUT", "--ram", "zlib", "--lenient"],
  ["convert", "IN", "--out", "OUT", "--flatten"],
  ["convert", "IN", "--out", "OUT", "--to", "mapped-ram"],
  ["convert", "IN", "--out", "OUT", "--to", "libvirt", "--compression", "gzip"],
  ["convert", "IN", "--out", "OUT", "--to", "recording", "--flatten"],
  ["convert", "IN", "--out", "OUT", "--to", "stream", "--add-vmdescription"],
  ["generate", "--template", "IN", "--out", "OUT"],
  ["inspect", "BASE", "--schema", "IN"],
  ["convert", "BASE", "--to", "libvirt", "--xml", "IN", "--out", "OUT"],
];

process.stdout.write = swallow;
process.stderr.write = swallow;
for (let seed = Number(first); ; seed++) {
  await hunt(seed);
  if (only !== undefined) break;
}
process.exit(0);

async function hunt(seed: number): Promise<void> {
  const random = new Random(seed);
  // Chooses containers and folders as often as streams, although there are more streams.
  const base = random.pick(random.once(2) ? streams : others);
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work);
  const input = join(work, "in");
  const did = await damage(base, input, random, seed);
  const out = join(work, "out");
  for (const args of commandsFor(base, random)) {
    const real = args.map((one) => (one === "IN" ? input : one === "OUT" ? out : one === "BASE" ? base.path : one));
    writeFileSync(join(folder, "now.json"), JSON.stringify({ seed, base: base.name, did, args }));
    const before = Date.now();
    try {
      const { run } = (await import(`../../src/cli/${real[0]!}.js`)) as { run: (argv: string[]) => Promise<number> };
      await run(real.slice(1));
    } catch (error) {
      if (!isOurs(error))
        note({ seed, base: base.name, did, args, error: error instanceof Error ? error.stack : error });
    }
    const ms = Date.now() - before;
    if (ms > 5000) note({ seed, base: base.name, did, args, slow: ms });
    rmSync(out, { recursive: true, force: true });
  }
}

/** Replaces `write` of standard output and error; callbacks are still called. */
function swallow(_bytes: string | Uint8Array, a?: unknown, b?: unknown): boolean {
  const done = typeof a === "function" ? a : b;
  if (typeof done === "function") setImmediate(() => (done as () => void)());
  return true;
}

function isOurs(error: unknown): boolean {
  if (error instanceof QevmError || error instanceof UsageError) return true;
  return error instanceof Error && "syscall" in error;
}

function note(find: Readonly<Record<string, unknown>>): void {
  appendFileSync(join(folder, "finds.jsonl"), `${JSON.stringify(find)}\n`);
}

function commandsFor({ kind, path }: Base, random: Random): string[][] {
  if (kind === "unpacked") return [["pack", "IN", "--out", "OUT"]];
  if (kind === "indexed") {
    const stream = join(path, "stream");
    return ["0", "0xffff0", "0x100000"].map((at) => [
      "read",
      stream,
      "--physical",
      at,
      "--index",
      join(work, "in/index"),
    ]);
  }
  return Array.from({ length: 4 }, () => [...random.pick(READERS)]);
}

async function damage(base: Base, to: string, random: Random, seed: number): Promise<string> {
  if (base.kind !== "file") {
    cpSync(base.path, to, { recursive: true, preserveTimestamps: true });
    const names = readdirSync(to, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && (base.kind !== "indexed" || entry.name === "index"))
      .map((entry) => join(entry.parentPath, entry.name));
    const json = names.filter((one) => one.endsWith(".json"));
    const name = base.kind === "unpacked" && !random.once(3) ? random.pick(json) : random.pick(names);
    const bytes = readFileSync(name);
    const changed = ((): { bytes: Uint8Array; did: string } => {
      if (name.endsWith(".json")) {
        const { text, did } = damageJson(bytes.toString(), random);
        return { bytes: Buffer.from(text), did };
      }
      return base.kind === "indexed" && !random.once(4) ? damageIndex(bytes, random) : damageBytes(bytes, random);
    })();
    writeFileSync(name, changed.bytes);
    return `${name.slice(to.length)}: ${changed.did}`;
  }
  const bytes = readFileSync(base.path);
  const structured = random.below(5);
  let found: { bytes: Uint8Array; did: string } | undefined;
  if (structured === 0) found = damageDescription(bytes, random);
  else if (structured === 2) found = damageState(bytes, random);
  else if (structured === 3) found = damageName(bytes, random);
  else if (structured === 1 && base.name.endsWith(".mig")) {
    let known = parts.get(base.name);
    if (known === undefined) parts.set(base.name, (known = takeApart(bytes).catch(() => undefined)));
    const apart = await known;
    if (apart !== undefined) {
      const test = makeCase(apart, seed);
      if (unbundle(test.bytes) === undefined) found = { bytes: test.bytes, did: test.did };
    }
  }
  found ??= damageBytes(bytes, random);
  writeFileSync(to, found.bytes);
  return found.did;
}

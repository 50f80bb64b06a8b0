/**
 * Checks whether the destination that `qevm explain` prints loads the stream: starts and saves a source, runs explain
 * on the stream, and starts the QEMU that wrote it with explain's arguments only. Only placeholders that explain
 * declares are replaced.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { explainStream, type Explanation } from "../../src/analyse/explain/index.js";
import { MemorySource } from "../../src/bytes/index.js";
import { runStep } from "../capture/steps.js";
import { startDestination } from "../destination/index.js";
import type { QemuBinary } from "../qemu/find.js";
import { makeWorkFolder, QemuProcess } from "../qemu/process.js";

/** Sizes of the sources' two pflash images: OVMF's code and variables. */
const FLASH = [3_653_632, 540_672];

export interface Source {
  readonly args: readonly string[];
  /** Milliseconds that the guest runs before it is saved; 0: it is never started. */
  readonly run: number;
}

/**
 * Starts a source, saves it and ends it. Rejects with QEMU's error text where it does not start or refuses to migrate.
 */
export async function saveSource(qemu: QemuBinary, { args, run }: Source): Promise<Buffer> {
  const folder = makeWorkFolder(qemu);
  for (const [i, size] of FLASH.entries()) writeFileSync(join(folder, `flash${i}`), Buffer.alloc(size));
  writeFileSync(join(folder, "empty"), Buffer.alloc(1 << 20));
  writeFileSync(join(folder, "floppy"), Buffer.alloc(1_474_560));
  const line = args.map((word) => word.replaceAll("$FLASH", "$DIR/flash"));
  const vm = await QemuProcess.start(qemu, run === 0 ? ["-S", ...line] : line, folder);
  try {
    if (run > 0) {
      await sleep(run);
      await vm.execute("stop");
    }
    await vm.execute("migrate", { uri: "exec:cat > $DIR/stream" });
    await runStep(vm, { wait: "completed" });
    return readFileSync(vm.file("stream"));
  } finally {
    await vm.close();
  }
}

/** The result for explain's command line. */
export interface Proof {
  readonly loaded: boolean;
  /** QEMU's error text; empty when it loaded. */
  readonly error: string;
  readonly explained: Explanation;
}

/** Starts the destination that explain proposes for a stream, and loads the stream. */
export async function proveStream(qemu: QemuBinary, stream: Uint8Array, machine = "q35"): Promise<Proof> {
  const explained = await explainStream(new MemorySource(stream));
  const { args, files } = ownThings(explained, machine);
  try {
    const { vm, result } = await startDestination({
      qemu,
      args,
      files,
      stream,
      capabilities: explained.destination.capabilities,
      // Two decompression threads of 5.2 may mix two copies of a page.
      ...(explained.destination.capabilities.includes("compress") ? { parameters: { "decompress-threads": 1 } } : {}),
    });
    await vm.close();
    return { loaded: result.loaded, error: result.loaded ? "" : result.error || result.status, explained };
  } catch (error) {
    return { loaded: false, error: error instanceof Error ? error.message : String(error), explained };
  }
}

/** Values for the placeholders that explain declares. */
export function ownThings(
  { destination, inspection }: Pick<Explanation, "destination" | "inspection">,
  machine: string,
): { args: string[]; files: Record<string, Uint8Array> } {
  const line = destination.arguments;
  const own: string[] = [];
  const files: Record<string, Uint8Array> = {};
  const length = (name: string): number => inspection.ram.blocks.find((block) => block.name === name)?.length ?? 0;
  for (const name of new Set(line.join(",").match(/\b(?:DRIVE|CHARDEV|AUDIODEV|FSDEV|NETDEV|MEMDEV)\d+\b/gu) ?? [])) {
    if (name.startsWith("DRIVE")) own.push("-blockdev", `driver=null-co,node-name=${name},size=1048576,read-zeroes=on`);
    else if (name.startsWith("CHARDEV")) own.push("-chardev", `null,id=${name}`);
    else if (name.startsWith("AUDIODEV")) own.push("-audiodev", `none,id=${name}`);
    else if (name.startsWith("FSDEV")) own.push("-fsdev", `synth,id=${name}`);
    else if (name.startsWith("NETDEV")) own.push("-netdev", `user,id=${name}`);
    else if (name.startsWith("MEMDEV")) own.push("-object", `memory-backend-ram,id=${name},size=64K`);
  }
  const words = line.map((word) =>
    word
      .replace(/^TYPE\b/u, machine)
      .replace(/^BIOS$/u, "$DIR/bios")
      .replace(/\bfile=FLASH(\d)$/u, "file=$DIR/flash$1"),
  );
  if (line.includes("BIOS")) files["bios"] = Buffer.alloc(length("pc.bios"));
  for (const word of line) {
    const unit = /\bfile=FLASH(\d)$/u.exec(word)?.[1];
    if (unit !== undefined) files[`flash${unit}`] = Buffer.alloc(length(`system.flash${unit}`));
  }
  return { args: [...own, ...words], files };
}

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
import { ownThings } from "./placeholders.js";

/** Sizes of the sources' two pflash images: OVMF's code and variables. */
const FLASH = [3_653_632, 540_672];

export interface Source {
  readonly args: readonly string[];
  /** Milliseconds that the guest runs before it is saved; 0: it is never started. */
  readonly run: number;
}

function sourceFiles(): Record<string, Uint8Array> {
  const flash = FLASH.map((size, i) => [`flash${i}`, Buffer.alloc(size)] as const);
  return {
    ...Object.fromEntries(flash),
    empty: Buffer.alloc(1 << 20),
    disk: Buffer.alloc(1 << 20),
    floppy: Buffer.alloc(1_474_560),
  };
}

function sourceLine(args: readonly string[]): string[] {
  return args.map((word) => word.replaceAll("$FLASH", "$DIR/flash"));
}

/** Whether a QEMU loads a stream with the arguments of its source. If not, the advice is not at fault. */
export async function loadsItself(qemu: QemuBinary, args: readonly string[], stream: Uint8Array): Promise<boolean> {
  try {
    const { vm, result } = await startDestination({ qemu, args: sourceLine(args), files: sourceFiles(), stream });
    await vm.close();
    return result.loaded;
  } catch {
    return false;
  }
}

/** Starts a source, saves it and ends it. Rejects with QEMU's own words where it does not start or refuses to migrate. */
export async function saveSource(qemu: QemuBinary, { args, run }: Source): Promise<Buffer> {
  const folder = makeWorkFolder(qemu);
  for (const [name, bytes] of Object.entries(sourceFiles())) writeFileSync(join(folder, name), bytes);
  const line = sourceLine(args);
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

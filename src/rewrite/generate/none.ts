import { QevmError } from "../../bytes/errors.js";
import { ExactDeflater } from "../../engine/exact.js";
import type { ByteSink } from "../../bytes/source.js";
import type { RamBlock } from "../../codec/ram/index.js";
import { encodeXbzrle, XBZRLE_OVERFLOW } from "../../codec/ram/xbzrle.js";
import { createStreamWriter, describedConfiguration, type RamWriter } from "../../codec/stream/index.js";
import { deviceFromPlain, type DeviceDescription, type DeviceState } from "../../codec/vmstate/index.js";
import type { Fill } from "./fill.js";

/** The encoding of pages. `zlib` and `xbzrle` need a destination with that capability. */
export type PageEncoding = "normal" | "zlib" | "xbzrle";

/** What the guest of machine type "none" is. */
export interface NoneOptions {
  /** RAM size in bytes, a multiple of 4096; 0: no RAMBlock. */
  memory: number;
  fill: Fill;
  pages: PageEncoding;
  /** compress-level of `zlib`, 0 to 9. */
  level: number;
  /**
   * The QEMU version to imitate: major and minor. 5.2 to 11.1 are checked; others use the rules of the nearest older
   * version.
   */
  qemu: readonly [number, number];
  /** cpu_ticks_offset and cpu_clock_offset of section "timer", in ns. */
  ticks?: bigint;
  clock?: bigint;
}

const PAGE = 4096;

const TIMER: DeviceDescription = {
  name: "timer",
  instanceId: 0,
  vmsdName: "timer",
  version: 2,
  fields: [
    { name: "cpu_ticks_offset", type: "int64", size: 8 },
    { name: "unused", type: "unused_buffer", size: 8 },
    { name: "cpu_clock_offset", type: "int64", size: 8 },
  ],
};

/** globalstate: 100 bytes of run state until 8.x; from 9.0 on 32 of them, two flags and padding. */
function globalState(since9: boolean): DeviceState {
  const tail = since9
    ? [
        { name: "runstate", type: "buffer", size: 32 },
        { name: "has_vm_was_suspended", type: "uint8", size: 1 },
        { name: "vm_was_suspended", type: "uint8", size: 1 },
        { name: "unused", type: "buffer", size: 66 },
      ]
    : [{ name: "runstate", type: "buffer", size: 100 }];
  const description: DeviceDescription = {
    name: "globalstate",
    instanceId: 0,
    vmsdName: "globalstate",
    version: 1,
    fields: [{ name: "size", type: "uint32", size: 4 }, ...tail],
  };
  // "running" in hex, the plain form of a buffer.
  const running = "72756e6e696e67";
  const more = since9 ? { has_vm_was_suspended: 1, vm_was_suspended: 0, unused: "00".repeat(66) } : {};
  const fields = { size: 8, runstate: running.padEnd(since9 ? 64 : 200, "0"), ...more };
  return deviceFromPlain(description, { fields, subsections: {} });
}

/**
 * Generates a stream that `qemu-system-x86_64 -machine none -m N` loads: RAM, timer, globalstate.
 *
 * Depends on the version: SWITCHOVER_START from 10.0; globalstate of 9.0; the description's `configuration` from 8.2
 * and its spaced form until 5.2; section ids as in that version. Source: QEMU migration/savevm.c,
 * migration/global_state.c, softmmu/cpu-timers.c (5.2 to 11.1).
 */
export async function generateNone(sink: ByteSink, options: NoneOptions): Promise<{ bytes: number; pages: number }> {
  const { memory, qemu } = options;
  if (!Number.isSafeInteger(memory) || memory < 0 || memory % PAGE !== 0) {
    throw new QevmError("usage", `memory of ${memory} bytes is not a multiple of ${PAGE}`);
  }
  const since = (major: number, minor: number): boolean => qemu[0] > major || (qemu[0] === major && qemu[1] >= minor);
  if (options.pages === "zlib" && since(9, 1)) {
    throw new QevmError("usage", "QEMU 9.1 and later load no compressed pages: choose another --qemu or --pages");
  }
  // Until some release before 10.0 two more handlers were registered before "ram" and between.
  const old = !since(9, 1);
  const writer = createStreamWriter(sink, { machine: "none", pageSize: PAGE, ramSectionId: old ? 2 : 1 });
  const { ram } = writer;
  const [block] = ram.blocks(memory === 0 ? [] : [{ idstr: "ram", usedLength: memory }]);
  if (block !== undefined) await rounds(ram, block, options);
  ram.endRound();
  if (since(10, 0)) writer.command({ name: "SWITCHOVER_START" });
  ram.end();
  const timer = {
    cpu_ticks_offset: options.ticks ?? 0n,
    unused: "00".repeat(8),
    cpu_clock_offset: options.clock ?? 0n,
  };
  const state = deviceFromPlain(TIMER, { fields: timer, subsections: {} });
  await writer.device({ state, versionId: 2, sectionId: 0 });
  await writer.device({ state: globalState(since(9, 0)), versionId: 1, sectionId: old ? 4 : 3 });
  await writer.finish({
    style: since(6, 0) ? "compact" : "spaced",
    ...(since(8, 2) ? { configuration: describedConfiguration("none") } : {}),
  });
  return { bytes: writer.file.offset, pages: memory / PAGE };
}

/**
 * All pages. With XBZRLE there is a second round, with a delta for each page with data that restores some changed
 * bytes.
 */
async function rounds(ram: RamWriter, block: RamBlock, { fill, pages, level, memory }: NoneOptions): Promise<void> {
  const page = new Uint8Array(PAGE);
  const before = new Uint8Array(PAGE);
  const delta = new Uint8Array(PAGE);
  const deflater = pages === "zlib" ? new ExactDeflater({ level, pageSize: PAGE }) : undefined;
  for (let offset = 0; offset < memory; offset += PAGE) {
    if (!fill(page, offset)) {
      await ram.zero(block, offset);
    } else if (deflater !== undefined && ram.continues(block)) {
      const payload = deflater.deflate(page);
      // A page that does not shrink is sent raw, which every loader accepts.
      await (payload.length < PAGE ? ram.compressed(block, offset, payload) : ram.page(block, offset, page));
    } else if (pages === "xbzrle") {
      await ram.page(block, offset, earlier(page, before));
    } else {
      await ram.page(block, offset, page);
    }
  }
  if (pages !== "xbzrle") return;
  ram.endRound();
  for (let offset = 0; offset < memory; offset += PAGE) {
    if (!fill(page, offset)) continue;
    const length = encodeXbzrle(earlier(page, before), page, delta);
    if (length === XBZRLE_OVERFLOW) await ram.page(block, offset, page);
    else await ram.xbzrle(block, offset, delta.subarray(0, length));
  }
}

/** The page in an earlier state: every 512th byte differs. */
function earlier(page: Uint8Array, into: Uint8Array): Uint8Array {
  into.set(page);
  for (let i = 17; i < into.length; i += 512) into[i]! ^= 0x55;
  return into;
}

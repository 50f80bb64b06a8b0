import { MemorySource } from "../../src/bytes/index.js";
import { RamFlag } from "../../src/codec/ram/index.js";
import { StreamReader } from "../../src/codec/stream/index.js";

/** The last content of every page of "pc.ram", 8 MiB: plain pages and zeros. */
export async function mainMemory(stream: Uint8Array): Promise<Buffer> {
  const pages = Buffer.alloc(8 << 20);
  for await (const item of new StreamReader(new MemorySource(stream))) {
    if (item.kind !== "section" || item.content.kind !== "ram") continue;
    for await (const batch of item.records()) {
      for (const { flag, block, offset, body } of batch) {
        if (block?.idstr !== "pc.ram") continue;
        if (flag === RamFlag.ZERO) pages.fill(0, offset, offset + 4096);
        else pages.set(body, offset);
      }
    }
  }
  return pages;
}

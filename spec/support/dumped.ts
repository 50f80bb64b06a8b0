/** What dump says of bytes in memory. */
import { dumpUnits, type DumpOptions, type DumpSource } from "../../src/analyse/dump/dump.js";
import type { DumpUnit } from "../../src/analyse/dump/types.js";
import { Diagnostics } from "../../src/bytes/errors.js";
import { MemorySource } from "../../src/bytes/source.js";

export function inputOf(bytes: Uint8Array): DumpSource {
  const source = new MemorySource(bytes);
  return { source, rewind: () => source.seek(0), whole: () => Promise.resolve(bytes.length) };
}

export async function unitsIn(bytes: Uint8Array, options: DumpOptions = {}): Promise<Omit<DumpUnit, "fields">[]> {
  const found: Omit<DumpUnit, "fields">[] = [];
  for await (const unit of dumpUnits(inputOf(bytes), new Diagnostics({ lenient: true }), options)) found.push(unit);
  return found;
}

import { putBits } from "./encode";
import { PRECODE_ORDER, RUNS } from "./memory";

/** Writes the header of the last block with dynamic codes: counts, the code of code lengths, the runs up to `stop`. */
export function putDynamicHeader(
  literals: u32,
  distances: u32,
  precodes: u32,
  precodeBits: u32,
  precode: u32,
  stop: u32,
): void {
  // Last block, type 2.
  putBits(5 | ((literals - 257) << 3) | ((distances - 1) << 8) | ((precodes - 4) << 13), 17);
  for (let i: u32 = 0; i < precodes; i++) {
    putBits(load<u8>(precodeBits + (load<u8>(PRECODE_ORDER + i) as u32)) as u64, 3);
  }
  for (let at = RUNS; at < stop; at += 4) {
    const run = load<u32>(at);
    const code = load<u32>(precode + (run & 0xff) * 4);
    const bits = code >> 16;
    putBits(((code & 0xffff) | ((run >> 16) << bits)) as u64, bits + ((run >> 8) & 0xff));
  }
}

import { cirrusWindow, isExtended } from "./cirrus.js";
import { VGA_WINDOW_LENGTH, type Vram } from "./vga-registers.js";
import { bytesOfHex } from "../../bytes/text.js";
import type { VgaRegisters } from "../layout-types.js";

/**
 * The bytes that a CPU reads at 0xa0000 to 0xbffff, from the adapter's memory: 4 planes, byte n of each at 4n to 4n +
 * 3, or linear (chain 4). Reads load latches in a real adapter; here nothing changes. Only the registers decide which
 * bytes are used, 1 MiB at most.
 *
 * GR6 bits 2-3 choose 128 KiB, 64 KiB at 0xa0000, 32 KiB at 0xb0000 or at 0xb8000 (outside reads as 0xff); SR4 bit 3 is
 * chain 4; GR5 bit 4 reads odd and even bytes from two planes (text); GR5 bit 3 compares with the colour GR2 in the
 * planes GR7; otherwise GR4 is the plane to read. Source: the IBM VGA's registers; QEMU hw/display/vga.c (7.2).
 */
export function vgaWindow(registers: VgaRegisters, vram: Vram): Uint8Array {
  if (isExtended(registers)) return cirrusWindow(registers, vram);
  const { bankOffset } = registers;
  const sr = bytesOfHex(registers.sr);
  const gr = bytesOfHex(registers.gr);
  const window = new Uint8Array(VGA_WINDOW_LENGTH).fill(0xff);
  const mapping = (gr[6]! >> 2) & 3;
  const [from, length] = MAPPINGS[mapping]!;
  const bank = mapping < 2 ? bankOffset : 0;
  for (let k = 0; k < length; k++) window[from + k] = readByte(sr, gr, vram, k + bank);
  return window;
}

const MAPPINGS: readonly (readonly [number, number])[] = [
  [0, 0x20000],
  [0, 0x10000],
  [0x10000, 0x8000],
  [0x18000, 0x8000],
];

function readByte(sr: Uint8Array, gr: Uint8Array, vram: Vram, at: number): number {
  if ((sr[4]! & 8) !== 0) return byteAt(vram, at);
  if ((gr[5]! & 0x10) !== 0) {
    const plane = (gr[4]! & 2) | (at & 1);
    return byteAt(vram, (at - (at & 1)) * 2 + plane);
  }
  if (at * 4 + 3 >= vram.length) return 0xff;
  if ((gr[5]! & 8) === 0) return byteAt(vram, at * 4 + (gr[4]! & 3));
  let different = 0;
  for (let plane = 0; plane < 4; plane++) {
    if (((gr[7]! >> plane) & 1) === 0) continue;
    different |= byteAt(vram, at * 4 + plane) ^ (((gr[2]! >> plane) & 1) === 1 ? 0xff : 0);
  }
  return ~different & 0xff;
}

function byteAt(vram: Vram, offset: number): number {
  return offset >= 0 && offset < vram.length ? vram.at(offset)! : 0xff;
}

import { VGA_WINDOW, VGA_WINDOW_LENGTH, type Vram } from "./vga-registers.js";
import { bytesOfHex } from "../../bytes/text.js";
import type { VgaRegisters } from "../layout-types.js";

/** Size of a bank of the window in bytes. */
const BANK = 0x8000;
/** Size of the chip's memory in bytes, regardless of the block's length. */
const SIZE = 4 << 20;

interface Registers {
  sr: Uint8Array;
  gr: Uint8Array;
}

function registersOf({ sr, gr }: VgaRegisters): Registers {
  return { sr: bytesOfHex(sr), gr: bytesOfHex(gr) };
}

/**
 * Whether a Cirrus adapter is in its extended modes (SR7 bit 0), where it has its own banks; otherwise it acts as a
 * VGA.
 */
export function isExtended(registers: VgaRegisters): boolean {
  return registers.cirrus === true && (registersOf(registers).sr[7]! & 1) !== 0;
}

/**
 * Whether the adapter's memory is linear at its BAR. It is not while the blitter's registers are mapped there (SR17
 * bits 2 and 6), with addresses times 8 or 16 (GRB bits 1, 2 and 4), or where writes expand colours (GR5 modes 4 and 5,
 * GRB bit 2).
 */
export function isLinear(registers: VgaRegisters): boolean {
  const { sr, gr } = registersOf(registers);
  const mode = gr[5]! & 7;
  return (sr[0x17]! & 0x44) !== 0x44 && shiftOf(gr) === 0 && ((gr[0xb]! & 4) === 0 || mode < 4 || mode > 5);
}

/** The address shift in bits: 16 pixels or 8 at a time. */
function shiftOf(gr: Uint8Array): number {
  if ((gr[0xb]! & 0x14) === 0x14) return 4;
  return (gr[0xb]! & 2) === 0 ? 0 : 3;
}

/**
 * The bytes that a CPU reads at 0xa0000 to 0xbffff from a Cirrus adapter in its extended modes. There are two banks of
 * 32 KiB, which begin where GR9 and GRA say (GRB bit 0; else the second follows the first), in units of 16 KiB (GRB bit
 * 5) or 4 KiB. Everything else reads as 0xff. The blitter's registers at 0xb8000 are not memory and stay 0xff. Source:
 * the CL-GD5446's registers; QEMU hw/display/cirrus_vga.c (7.2).
 */
export function cirrusWindow(registers: VgaRegisters, vram: Vram): Uint8Array {
  const { gr } = registersOf(registers);
  const window = new Uint8Array(VGA_WINDOW_LENGTH).fill(0xff);
  const shift = shiftOf(gr);
  const linear = isLinear(registers);
  for (const bank of [0, 1]) {
    const [base, length] = bankOf(gr, bank);
    // A linear mapping ends only with the block.
    const end = linear ? BANK : Math.min(BANK, length);
    for (let k = 0; k < end; k++) {
      const at = linear ? base + k : ((base + k) << shift) & (SIZE - 1);
      if (at < vram.length) window[bank * BANK + k] = vram.at(at)!;
    }
  }
  return window;
}

/** Start of a bank, and the memory available after it. */
function bankOf(gr: Uint8Array, bank: number): [base: number, length: number] {
  const dual = (gr[0xb]! & 1) !== 0;
  const unit = (gr[0xb]! & 0x20) === 0 ? 0x1000 : 0x4000;
  const base = gr[dual ? 9 + bank : 9]! * unit + (dual ? 0 : bank * BANK);
  return base < SIZE ? [base, SIZE - base] : [0, 0];
}

/**
 * The banks of a block of `length` bytes that are linear in the window, in the extended modes. QEMU treats them as RAM
 * and dumps them.
 */
export function cirrusBanks(
  registers: VgaRegisters,
  length: number,
): { start: number; offset: number; length: number }[] {
  if (!isExtended(registers) || !isLinear(registers)) return [];
  const { gr } = registersOf(registers);
  return [0, 1].map((bank) => {
    const [offset] = bankOf(gr, bank);
    return { start: VGA_WINDOW + bank * BANK, offset, length: Math.min(BANK, length - offset) };
  });
}

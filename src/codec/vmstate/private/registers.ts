import type { Walk } from "./walk.js";

/** A register that a function of its own saves as be32: `vscr` of PowerPC. Source: QEMU target/ppc/machine.c. */
export function word(walk: Walk): void {
  walk.u32("value");
}

/** As one byte: AVR's status and segment registers (bits 16 to 23 of them). Source: QEMU target/avr/machine.c. */
export function byte(walk: Walk): void {
  walk.u8("value");
}

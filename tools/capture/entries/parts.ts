/** Shared by the lists of entries: small machines, the two guests, argument lists. */
import { firmwareAround } from "../../guest/listing.js";
import { dirtyGuest, fillGuest } from "../../guest/patterns.js";
import type { WorkFile } from "../entry.js";

/** Bytes in a MiB. */
export const mebi = 1 << 20;

const fillSector = (): Uint8Array =>
  fillGuest([
    { start: mebi, end: 2 * mebi },
    { start: 6 * mebi, end: 6.125 * mebi },
  ]);

const dirtySector = (): Uint8Array =>
  dirtyGuest([
    { start: mebi, end: 1.25 * mebi },
    { start: 2 * mebi, end: 3 * mebi },
  ]);

/** The guest that fills memory and halts, as a disk for SeaBIOS. */
export const fillDisk: WorkFile = { name: "boot.img", content: fillSector };

/** The guest that dirties memory in an endless loop, as a disk for SeaBIOS. */
export const dirtyDisk: WorkFile = { name: "boot.img", content: dirtySector };

/** The filling guest as firmware. */
export const fillFirmware: WorkFile = { name: "bios.img", content: () => firmwareAround(fillSector()) };

/** The dirtying guest as firmware. */
export const dirtyFirmware: WorkFile = { name: "bios.img", content: () => firmwareAround(dirtySector()) };

/** Splits a command line into words. */
export function words(text: string): string[] {
  return text.trim().split(/\s+/u);
}

/** One `-device` argument per line or word. */
export function devices(text: string): string[] {
  return words(text).flatMap((device) => ["-device", device]);
}

/** Empty disks of 1 MiB that need no file, as block nodes. */
export function emptyDisks(...nodes: readonly string[]): string[] {
  return nodes.flatMap((node) => ["-blockdev", `driver=null-co,node-name=${node},size=1048576,read-zeroes=on`]);
}

/** A machine without network, sound and display, to keep everything small. */
export function bare(machine: string, memory = 8): string[] {
  return words(`-machine ${machine} -m ${memory} -nodefaults -vga none`);
}

/** A bare machine that boots a guest from an IDE disk through SeaBIOS; pc only. */
export function booting(machine: string, memory = 8): string[] {
  return [...bare(machine, memory), "-drive", "file=$DIR/boot.img,format=raw,if=ide"];
}

/** A bare machine whose firmware is the guest: it contains no other code, and starts at once. */
export function direct(machine: string, memory = 8): string[] {
  return [...bare(machine, memory), "-bios", "$DIR/bios.img"];
}

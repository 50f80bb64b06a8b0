/**
 * Targets other than x86: other page sizes, block names and byte orders. None of them runs; memory is filled in
 * advance.
 */
import { hashTableGuest, storageKeyGuest, targetMark } from "../../guest/targets.js";
import { entry, type Entry, type Recipe, type Step, type WorkFile } from "../entry.js";
import { words } from "./parts.js";

/** `kibi` KiB, each with its own text; every third KiB is zero, and every fourth of the rest is one repeated byte. */
const filled = (kibi: number): WorkFile => ({
  name: "fill.img",
  content: () => {
    const bytes = Buffer.alloc(kibi * 1024);
    for (let k = 0; k < kibi; k++) {
      const part = bytes.subarray(k * 1024, (k + 1) * 1024);
      if (k % 3 === 1) continue;
      if (k % 4 === 2) part.fill(k);
      else part.fill(`KiB ${k} of memory; `);
    }
    return bytes;
  },
});

/** A machine of another target that never runs, with `kibi` KiB at `address`. */
function target(
  name: string,
  program: string,
  shows: string,
  machine: string,
  fill?: { readonly kibi: number; readonly address: string },
): Recipe {
  const load = fill === undefined ? [] : words(`-device loader,file=$DIR/fill.img,addr=${fill.address},force-raw=on`);
  return {
    name,
    program,
    shows,
    args: [...words(`-machine ${machine} -nodefaults -audiodev none,id=none -S`), ...load],
    files: fill === undefined ? [] : [filled(fill.kibi)],
    until: "nothing",
  };
}

/** The guest has finished and is stopped. */
const done: readonly Step[] = [{ wait: "mark", ...targetMark }, { execute: "stop" }];

const recipes: readonly Recipe[] = [
  target(
    "aarch64-virt",
    "qemu-system-aarch64",
    "64-bit ARM: target-page-bits 12, two flash blocks of 64 MiB",
    "virt -cpu cortex-a57 -m 3",
    { kibi: 256, address: "0x40200000" },
  ),
  target(
    "arm-microbit",
    "qemu-system-arm",
    "32-bit ARM, M profile: pages of 1 KiB, which the stream does not say",
    "microbit",
    {
      kibi: 12,
      address: "0x20000000",
    },
  ),
  target("arm-integratorcp", "qemu-system-arm", "32-bit ARM before v7: pages of 1 KiB", "integratorcp -m 2", {
    kibi: 128,
    address: "0x10000",
  }),
  target("riscv64-virt", "qemu-system-riscv64", "RISC-V, a block of 15 pages", "virt -bios none -m 4", {
    kibi: 128,
    address: "0x80000000",
  }),
  {
    name: "s390x",
    program: "qemu-system-s390x",
    shows: "big-endian: storage attributes, and keys that the guest set",
    args: words("-machine s390-ccw-virtio -m 2 -nodefaults -bios $DIR/guest.img"),
    files: [{ name: "guest.img", content: storageKeyGuest }],
    until: "nothing",
    before: done,
  },
  {
    name: "ppc64-pseries",
    program: "qemu-system-ppc64",
    shows: "big-endian: the hash page table, with entries that the guest made",
    args: words("-machine pseries -cpu power8 -m 256 -nodefaults -bios $DIR/guest.img"),
    files: [{ name: "guest.img", content: hashTableGuest }],
    until: "nothing",
    before: done,
  },
  target("m68k-virt", "qemu-system-m68k", "big-endian: one block", "virt -m 2", { kibi: 64, address: "0x1000" }),
  target("avr-uno", "qemu-system-avr", "pages of 256 bytes", "uno"),
];

/** Captures of other targets. */
export const targetEntries: readonly Entry[] = recipes.map(entry);

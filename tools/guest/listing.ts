/**
 * A listing of machine code: each line has its bytes and their meaning, and labels are resolved at the end. A minimal
 * assembler for guests of one boot sector.
 */
import { QevmError } from "../../src/bytes/errors.js";

interface Patch {
  readonly at: number;
  readonly label: string;
  readonly kind: "near8" | "near32" | "absolute16" | "absolute32";
}

/** Little-endian bytes of a 32-bit number. */
export function dword(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, (value >>> 24) & 0xff];
}

/** Code under construction, loaded at `origin`. */
export class Listing {
  readonly #bytes: number[] = [];
  readonly #labels = new Map<string, number>();
  readonly #patches: Patch[] = [];
  readonly #origin: number;

  constructor(origin: number) {
    this.#origin = origin;
  }

  /** One instruction or datum: its meaning, then its bytes. */
  op(_meaning: string, ...bytes: readonly number[]): this {
    this.#bytes.push(...bytes);
    return this;
  }

  /** An instruction that ends in a reference to a label. */
  to(meaning: string, kind: Patch["kind"], label: string, ...bytes: readonly number[]): this {
    this.op(meaning, ...bytes);
    this.#patches.push({ at: this.#bytes.length, label, kind });
    return this.op("(reference)", ...Array.from({ length: width(kind) }, () => 0));
  }

  /** Defines a label for the next byte. */
  label(name: string): this {
    this.#labels.set(name, this.#bytes.length);
    return this;
  }

  /** The finished boot sector: 512 bytes with its signature. */
  bootSector(): Uint8Array {
    if (this.#bytes.length > 510) throw new QevmError("does-not-fit", `boot sector of ${this.#bytes.length} bytes`);
    const out = new Uint8Array(512);
    out.set(this.#bytes);
    out.set([0x55, 0xaa], 510);
    for (const { at, label, kind } of this.#patches) {
      const target = this.#labels.get(label);
      if (target === undefined) throw new QevmError("usage", `no label ${label}`);
      const size = width(kind);
      const value = kind.startsWith("near") ? target - at - size : target + this.#origin;
      if (kind === "near8" && (value < -128 || value > 127)) throw new QevmError("does-not-fit", `${label} is too far`);
      out.set(dword(value).slice(0, size), at);
    }
    return out;
  }
}

function width(kind: Patch["kind"]): number {
  if (kind === "near8") return 1;
  return kind === "absolute16" ? 2 : 4;
}

/** Starts a boot sector: real mode to flat 32-bit protected mode with a stack, interrupts off, A20 on. */
export function protectedModeStart(): Listing {
  return new Listing(0x7c00)
    .op("cli", 0xfa)
    .op("cld", 0xfc)
    .op("xor ax, ax", 0x31, 0xc0)
    .op("mov ds, ax", 0x8e, 0xd8)
    .op("in al, 0x92", 0xe4, 0x92)
    .op("or al, 2", 0x0c, 0x02)
    .op("out 0x92, al", 0xe6, 0x92)
    .to("lgdt [gdtr]", "absolute16", "gdtr", 0x0f, 0x01, 0x16)
    .op("mov eax, cr0", 0x0f, 0x20, 0xc0)
    .op("or al, 1", 0x0c, 0x01)
    .op("mov cr0, eax", 0x0f, 0x22, 0xc0)
    .to("jmp 0x08:flat", "absolute16", "flat", 0xea)
    .op("(code selector)", 0x08, 0x00)
    .label("gdtr")
    .op("limit", 0x17, 0x00)
    .to("base", "absolute32", "gdt")
    .label("gdt")
    .op("null", 0, 0, 0, 0, 0, 0, 0, 0)
    .op("code, 4 GiB, 32-bit", 0xff, 0xff, 0, 0, 0, 0x9a, 0xcf, 0)
    .op("data, 4 GiB", 0xff, 0xff, 0, 0, 0, 0x92, 0xcf, 0)
    .label("flat")
    .op("mov ax, 0x10", 0x66, 0xb8, 0x10, 0x00)
    .op("mov ds, eax", 0x8e, 0xd8)
    .op("mov es, eax", 0x8e, 0xc0)
    .op("mov ss, eax", 0x8e, 0xd0)
    .op("mov esp, 0x7000", 0xbc, ...dword(0x7000));
}

/**
 * Guest-physical address where a guest writes {@link readyMark} when its memory is set up; its round counter follows.
 */
export const readyAddress = 0x600;

/** "qevm", little-endian. */
export const readyMark = 0x6d766571;

/**
 * A firmware image of 64 KiB around a boot sector: the reset vector jumps to a stub that copies the sector to 0x7c00
 * and runs it. A capture then contains no other code and starts at once, on any x86 machine type.
 */
export function firmwareAround(sector: Uint8Array): Uint8Array {
  const stub = new Listing(0x200)
    .op("cli", 0xfa)
    .op("cld", 0xfc)
    .op("mov ax, cs", 0x8c, 0xc8)
    .op("mov ds, ax", 0x8e, 0xd8)
    .op("xor ax, ax", 0x31, 0xc0)
    .op("mov es, ax", 0x8e, 0xc0)
    .op("xor si, si", 0x31, 0xf6)
    .op("mov di, 0x7c00", 0xbf, 0x00, 0x7c)
    .op("mov cx, 256", 0xb9, 0x00, 0x01)
    .op("rep movsw", 0xf3, 0xa5)
    .op("jmp 0:0x7c00", 0xea, 0x00, 0x7c, 0x00, 0x00)
    .bootSector();
  const image = new Uint8Array(0x10000);
  image.set(sector);
  image.set(stub.subarray(0, 510), 0x200);
  image.set([0xea, 0x00, 0x02, 0x00, 0xf0], 0xfff0); // jmp 0xf000:0x0200
  return image;
}

import { hex, QevmError } from "../../bytes/errors.js";
import type { CpuState } from "../../guest/cores/cpu-state.js";
import type { Layout } from "../../guest/layout-types.js";
import type { GuestPages } from "../../guest/read/guest-memory.js";
import { WINDOW } from "../../guest/read/range.js";
import { MemorySpace, type SpacePart } from "../../guest/read/space.js";
import { addressSpaceOf, readVirtual, virtualParts, type AddressSpace } from "../../guest/walk/index.js";
import type { GuestChanges } from "../../rewrite/generate/changes.js";
import { isLittle, registersOf, type Register, type RegisterSet } from "./registers/index.js";

/** Pages that clients may change, in bytes. */
const MOST_CHANGED = 64 << 20;

/** A saved guest as a debugger sees it. What is written is kept beside it. */
export class SavedGuest {
  /** The CPUs by their number; their fields are copies, with what was written. */
  readonly cpus: readonly CpuState[];
  readonly registers: RegisterSet;
  readonly memory: MemorySpace;
  private readonly changed = new Map<string, Map<number, Uint8Array>>();
  private readonly written = new Map<CpuState, Map<Register, bigint>>();
  private readonly spaces = new Map<CpuState, AddressSpace>();
  private bytes = 0;

  /** Errors: unsupported, where the stream has no CPU whose registers are known. */
  constructor(
    private readonly pages: GuestPages,
    readonly layout: Layout,
  ) {
    this.cpus = pages.cpus.toSorted((a, b) => a.instance - b.instance).map((cpu) => structuredClone(cpu));
    const [first] = this.cpus;
    if (first === undefined) throw new QevmError("unsupported", "the stream has no CPU whose registers are known");
    this.registers = registersOf(first);
    const seen: GuestPages = {
      ...pages,
      read: async (block, offset, into) => {
        const page = this.changed.get(block)?.get(offset);
        if (page === undefined) await pages.read(block, offset, into);
        else into.set(page);
      },
    };
    this.memory = MemorySpace.physical(seen, layout, { devices: true });
  }

  /** A register's bytes in the CPU's byte order. */
  register(cpu: CpuState, { bits, place }: Register): Buffer {
    const digits = BigInt.asUintN(bits, place.read(cpu.device)).toString(16);
    const bytes = Buffer.from(digits.padStart(bits / 4, "0"), "hex");
    return isLittle(cpu) ? Buffer.from(bytes.toReversed()) : bytes;
  }

  /** Errors: usage (a register that cannot be changed, or another length). */
  setRegister(cpu: CpuState, register: Register, bytes: Buffer): void {
    const { name, bits, place } = register;
    if (place.write === undefined || bytes.length * 8 !== bits)
      throw new QevmError("usage", `${name} cannot be changed so`);
    const ordered = isLittle(cpu) ? Buffer.from(bytes.toReversed()) : bytes;
    const value = BigInt(`0x${ordered.toString("hex")}`);
    if (value === BigInt.asUintN(bits, place.read(cpu.device))) return;
    place.write(cpu.device, value);
    if (value !== BigInt.asUintN(bits, place.read(cpu.device)))
      throw new QevmError("usage", `the stream has no place for ${name}`);
    this.spaces.delete(cpu);
    const own = this.written.get(cpu) ?? new Map<Register, bigint>();
    this.written.set(cpu, own.set(register, value));
  }

  /** Bytes at a guest-physical address. Errors: usage (no memory), those of page payloads. */
  async readPhysical(address: number, length: number): Promise<Uint8Array> {
    if (this.memory.memoryAt(address, length) < length) {
      throw new QevmError("usage", `no memory at address ${hex(address)}`);
    }
    const bytes = new Uint8Array(length);
    await this.memory.read(address, bytes);
    return bytes;
  }

  /** How a CPU translates addresses, by its registers as they are now. Errors: unsupported. */
  space(cpu: CpuState): AddressSpace {
    const known = this.spaces.get(cpu);
    if (known !== undefined) return known;
    const space = addressSpaceOf(cpu, this, { processTable: this.pages.processTable });
    this.spaces.set(cpu, space);
    return space;
  }

  /** @param cpu whose virtual addresses; undefined: physical ones. Errors: usage, unsupported, those of pages. */
  async read(cpu: CpuState | undefined, address: bigint, length: number): Promise<Uint8Array> {
    if (cpu !== undefined) return await readVirtual(this.space(cpu), address, length);
    return await this.readPhysical(physical(address), length);
  }

  /** Keeps bytes beside the stream. Errors: as `read`; limit. */
  async write(cpu: CpuState | undefined, address: bigint, bytes: Uint8Array): Promise<void> {
    const parts: { physical: number; length: number }[] = [];
    if (cpu === undefined) parts.push({ physical: physical(address), length: bytes.length });
    else {
      for await (const part of virtualParts(this.space(cpu), address, bytes.length)) {
        parts.push({ physical: physical(part.physical), length: part.length });
      }
    }
    // Nothing is written where a part is not memory.
    const places: SpacePart[] = [];
    for (const part of parts) places.push(...this.memory.between(part.physical, part.length));
    const wrong = places.find(({ block }) => block === undefined || block === WINDOW);
    if (wrong !== undefined) throw new QevmError("usage", `no memory to write at ${hex(wrong.start)}`);
    let done = 0;
    for (const { block, offset, length } of places) {
      await this.writeBlock(block!, offset, bytes.subarray(done, done + length));
      done += length;
    }
  }

  /** What was written so far. */
  get changes(): GuestChanges {
    return {
      pages: this.changed,
      device: (idstr, instance) => {
        const cpu = idstr === "cpu" ? this.cpus.find((one) => one.instance === instance) : undefined;
        const own = cpu === undefined ? undefined : this.written.get(cpu);
        if (own === undefined) return undefined;
        return (plain) => {
          for (const [{ place }, value] of own) place.write!(plain, value);
        };
      },
    };
  }

  private async writeBlock(block: string, offset: number, bytes: Uint8Array): Promise<void> {
    const { pageSize } = this.pages;
    for (let done = 0; done < bytes.length;) {
      const page = offset + done - ((offset + done) % pageSize);
      const content = await this.page(block, page);
      const within = offset + done - page;
      const piece = bytes.subarray(done, done + pageSize - within);
      content.set(piece, within);
      done += piece.length;
    }
  }

  private async page(block: string, offset: number): Promise<Uint8Array> {
    const pages = this.changed.get(block) ?? new Map<number, Uint8Array>();
    const found = pages.get(offset);
    if (found !== undefined) return found;
    if (this.bytes + this.pages.pageSize > MOST_CHANGED) {
      throw new QevmError("limit", "too much was written", { expected: `at most ${MOST_CHANGED} bytes of pages` });
    }
    const content = new Uint8Array(this.pages.pageSize);
    await this.pages.read(block, offset, content);
    this.bytes += content.length;
    this.changed.set(block, pages.set(offset, content));
    return content;
  }
}

function physical(address: bigint): number {
  if (address > BigInt(Number.MAX_SAFE_INTEGER)) throw new QevmError("usage", `no memory at ${hex(address)}`);
  return Number(address);
}

import { createDeflater } from "../../engine/create.js";
import { ExactDeflater } from "../../engine/exact.js";
import type { PageDeflater } from "../../engine/page-engine.js";

/** Levels that share the two header bytes of a zlib stream (RFC 1950 FLEVEL as zlib 1.2.13 writes it). */
export const LEVELS_BY_HEADER: Readonly<Record<number, readonly number[]>> = {
  0x01: [1, 0],
  0x5e: [5, 4, 3, 2],
  0x9c: [6],
  0xda: [9, 8, 7],
};

/** Pages on which every level of a header is tried before the best one is settled on. */
const TRIAL_PAGES = 64;

/**
 * Compresses pages again as QEMU's zlib does and compares the payloads. The level is not on the wire; its header byte
 * names a group, and the pages decide within it: one level must explain them all.
 */
export class Recompressor {
  pages = 0;
  private readonly deflaters = new Map<number, PageDeflater>();
  private readonly tallies = new Map<number, { level: number; identical: number }[]>();
  private readonly tried = new Map<number, number>();

  private constructor(
    private readonly pageSize: number,
    level1: PageDeflater,
  ) {
    this.deflaters.set(1, level1);
  }

  /**
   * The page engine does level 1, QEMU's default, nine times as fast as pako; where its module is not at hand pako does
   * it too.
   */
  static async create(pageSize: number): Promise<Recompressor> {
    const pako = (): PageDeflater => new ExactDeflater({ level: 1, pageSize });
    return new Recompressor(pageSize, await createDeflater("page-exact", { level: 1, pageSize }).catch(pako));
  }

  /** Takes one page with its original payload. */
  check(page: Uint8Array, payload: Uint8Array): void {
    this.pages++;
    const header = payload[1] ?? -1;
    let candidates = this.tallies.get(header);
    if (candidates === undefined) {
      candidates = (LEVELS_BY_HEADER[header] ?? []).map((level) => ({ level, identical: 0 }));
      this.tallies.set(header, candidates);
    }
    const tried = (this.tried.get(header) ?? 0) + 1;
    this.tried.set(header, tried);
    for (const candidate of candidates) {
      if (same(this.deflater(candidate.level).deflate(page), payload)) candidate.identical++;
    }
    if (tried === TRIAL_PAGES || candidates.some((c) => c.identical < tried)) {
      const best = Math.max(...candidates.map((c) => c.identical));
      const kept = candidates.filter((c) => c.identical === best);
      this.tallies.set(header, tried >= TRIAL_PAGES ? kept.slice(0, 1) : kept);
    }
  }

  /** Pages whose payload was encoded identically. */
  get identical(): number {
    let sum = 0;
    for (const candidates of this.tallies.values()) sum += candidates[0]?.identical ?? 0;
    return sum;
  }

  /** The levels that explain the payloads. */
  get levels(): number[] {
    return [...this.tallies.values()].flatMap((candidates) =>
      candidates[0] === undefined ? [] : [candidates[0].level],
    );
  }

  private deflater(level: number): PageDeflater {
    let deflater = this.deflaters.get(level);
    if (deflater === undefined) {
      deflater = new ExactDeflater({ level, pageSize: this.pageSize });
      this.deflaters.set(level, deflater);
    }
    return deflater;
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

import type { Random } from "./random.js";
import type { Part, PartKind, Parts } from "./parts.js";

/** One way to make a stream wrong. */
export interface DamageKind {
  /** Stable, for `--kinds` and tables: `record-flags-unknown`. */
  readonly name: string;
  /**
   * @internal Returns what it did in a few words, or undefined where the stream has nothing that it could be done to.
   */
  readonly apply: (work: Work) => string | undefined;
}

/** A stream in the hands of damage: parts that are exchanged for others. The parts' own bytes are never written to. */
export class Work {
  list: Part[];

  constructor(
    readonly base: Parts,
    readonly random: Random,
    /** Keep lengths, sums and footers right around the damage, so that it lands deeper. */
    readonly repair: boolean,
  ) {
    this.list = [...base.list];
  }

  /** Indexes of the parts of a kind (and flag). */
  of(kind: PartKind, flag?: number): number[] {
    const found: number[] = [];
    for (let i = 0; i < this.list.length; i++) {
      const part = this.list[i]!;
      if (part.kind === kind && (flag === undefined || part.flag === flag)) found.push(i);
    }
    return found;
  }

  /** One part of a kind by chance, or -1. */
  any(kind: PartKind, flag?: number): number {
    const found = this.of(kind, flag);
    return found.length === 0 ? -1 : this.random.pick(found);
  }

  /** Another content for a part. */
  replace(index: number, bytes: Uint8Array, flag?: number): void {
    const part = this.list[index]!;
    this.list[index] = { ...part, bytes, flag: flag ?? part.flag };
  }

  /** A copy of a part's bytes to change; `change` may return other bytes instead. */
  change(index: number, change: (bytes: Uint8Array, view: DataView) => Uint8Array | void): void {
    const bytes = this.list[index]!.bytes.slice();
    this.replace(index, change(bytes, new DataView(bytes.buffer)) ?? bytes);
  }

  insert(index: number, kind: PartKind, bytes: Uint8Array, name = ""): void {
    const file = (this.list[index] ?? this.list.at(-1))?.file;
    this.list.splice(index, 0, { kind, bytes, name, flag: 0, file });
  }

  remove(index: number, count = 1): void {
    this.list.splice(index, count);
  }

  /** Where an inserted section or command may be: before a section header, command or EOF. */
  border(): number {
    const found = [...this.of("section"), ...this.of("command"), ...this.of("eof")];
    return found.length === 0 ? this.list.length : this.random.pick(found);
  }

  /** `#12 "pc.ram"`: how a part is named in a case's line. */
  label(index: number): string {
    const part = this.list[index];
    return part === undefined
      ? `#${index}`
      : `${part.kind} #${index}${part.name === "" ? "" : ` ${JSON.stringify(part.name)}`}`;
  }
}

/** A name that no QEMU has, an empty one, a path, the longest one. */
export function strangeName(random: Random): string {
  return random.pick(["", "x", "ram", "../../etc/passwd", "\u0000\u001b[2J\u00ff", "a".repeat(255), "pc.ram", "cpu"]);
}

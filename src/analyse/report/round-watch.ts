import { PAGE_FLAGS, type RamBatch, type RamState } from "../../codec/ram/index.js";
import type { StreamItem } from "../../codec/stream/index.js";
import { PageSet } from "../../guest/pages/page-set.js";

/** A round of precopy: it begins in the RAM section with this number (from 0) of the stream. */
export interface Round {
  section: number;
  pages: number;
}

/** Rounds that are told apart; later ones count as one. */
const MOST_ROUNDS = 1000;

/**
 * Finds the rounds of a migration: one begins where a page comes again that the round before had. Rounds without such a
 * page are taken for one, so there may have been more.
 */
export class RoundWatch {
  readonly rounds: Round[] = [];
  /** Number of the RAM section that was sent after the guest was stopped; undefined: none was. */
  end: number | undefined;
  /** The source switched to postcopy: pages come when they are asked for, and there are no rounds any more. */
  postcopy = false;
  private sections = 0;
  private seen: PageSet | undefined;

  constructor(private readonly ram: RamState) {}

  item(item: StreamItem): void {
    if (item.kind === "command" && item.command.name === "PACKAGED") this.postcopy = true;
    if (item.kind !== "section" || item.content.kind !== "ram") return;
    if (item.type === "end") this.end ??= this.sections;
    this.sections++;
  }

  batch(batch: RamBatch): void {
    if (this.postcopy) return;
    for (let i = 0; i < batch.count; i++) {
      const block = batch.block[i];
      if ((batch.flag[i]! & PAGE_FLAGS) === 0 || block === undefined) continue;
      const offset = batch.offset[i]!;
      const again = this.rounds.length < MOST_ROUNDS && this.seen?.has(block, offset) === true;
      if (again || this.seen === undefined) {
        this.rounds.push({ section: this.sections - 1, pages: 0 });
        this.seen = new PageSet(this.ram.pageSize);
      }
      this.seen.add(block, offset);
      this.rounds.at(-1)!.pages++;
    }
  }
}

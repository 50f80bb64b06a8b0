import { setTimeout as sleep } from "node:timers/promises";
import {
  decodeRamPacket,
  INIT_LENGTH,
  MULTIFD_MAGIC,
  MULTIFD_VERSION,
  pagesPerPacket,
  ramPacketLength,
} from "../../codec/multifd/index.js";
import type { RamState } from "../../codec/ram/index.js";
import { LOOK } from "./checks.js";
import { anotherOf, OTHER_GUEST } from "./foreign.js";
import { withFirst } from "./pending.js";

/** A connection that begins like a multifd channel. */
export interface Candidate {
  readonly uuid: string;
  readonly id: number;
  /** Its number among all connections. */
  readonly order: number;
  /** It was accepted when `ChannelHold.late` was set. */
  readonly late: boolean;
  /** The bytes read so far, and the rest; both go on while it is held. */
  head: Uint8Array;
  rest: AsyncIterator<Uint8Array>;
  /** It was refused meanwhile. */
  closed(): boolean;
}

/** Bytes held of one channel; its first packets without pages have less. */
const MOST_HELD = 1 << 16;
/** Milliseconds after which a channel without a rival is taken, though it has sent no pages. */
const SETTLED = 300;
/** Milliseconds after which one of several rivals is taken, though none has sent pages. */
const GRACE = 2000;
/**
 * Checks after the setup of RAM in which channels are still accepted. A source has connected all of them and has sent a
 * packet on each before that setup leaves it (5.2 to 11.1 ram_save_setup). It is no time, because connections wait to be
 * accepted while this process is suspended, or waits for its disk.
 */
const LATE = 100;

/**
 * Decides which multifd channels are of this migration. All of them have the same uuid, and each an id of its own. Where
 * several connections claim that, one counts that came after the main channel: those before it are of a migration that
 * was cancelled (a source connects its main channel first). Of several the one counts that sends pages of a RAM block that
 * the main channel has listed; where none does in time, the uuid with the most channels, and the oldest connection.
 */
export class ChannelHold {
  /** A connection that is accepted now is none of the migration. */
  late = false;
  private readonly candidates = new Set<Candidate>();
  private readonly ids = new Set<number>();
  private uuid: string | undefined;
  private ram: RamState | undefined;
  private begun: number | undefined;
  /** The number of the main channel among all connections. */
  private main = 0;

  /** @param lateAfter checks of `LATE`, for tests */
  constructor(private readonly lateAfter = LATE) {}

  /** The main channel is here, the connection of number `main`. */
  begin(ram: RamState, main = 0): void {
    this.ram = ram;
    this.main = main;
    this.begun = performance.now();
    let looks = 0;
    const timer = setInterval(() => {
      this.late = ++looks >= this.lateAfter;
      if (this.late) clearInterval(timer);
    }, LOOK).unref();
  }

  /**
   * Waits until it is decided. Undefined: it is a channel of this migration; else the reason why it is not. Errors:
   * those of the connection.
   * @param onChunk is called with what is read meanwhile
   */
  async decide(candidate: Candidate, onChunk: (chunk: Uint8Array) => void): Promise<string | undefined> {
    this.candidates.add(candidate);
    let next: Promise<IteratorResult<Uint8Array>> | undefined;
    let ended = false;
    const since = performance.now();
    try {
      for (;;) {
        const verdict = this.verdict(candidate, since);
        if (verdict === "taken" || candidate.closed()) break;
        if (verdict !== undefined) return verdict;
        if (!ended && candidate.head.length < MOST_HELD && this.begun !== undefined) next ??= candidate.rest.next();
        const came = await (next === undefined || ended ? sleep(LOOK) : Promise.race([next, sleep(LOOK)]));
        if (came === undefined) continue;
        if (came.done === true) ended = true;
        else {
          next = undefined;
          candidate.head = Buffer.concat([candidate.head, came.value]);
          onChunk(came.value);
        }
      }
      if (candidate.closed()) return undefined;
      if (next !== undefined) candidate.rest = { next: withFirst(next, candidate.rest) };
      this.uuid ??= candidate.uuid;
      this.ids.add(candidate.id);
      return undefined;
    } finally {
      this.candidates.delete(candidate);
    }
  }

  private verdict(candidate: Candidate, since: number): string | undefined {
    if (this.begun === undefined) return undefined;
    const { uuid, id, head } = candidate;
    if (this.uuid !== undefined && this.uuid !== uuid) return OTHER_GUEST;
    if (this.ids.has(id)) return anotherOf(id);
    if (candidate.late) return "it came after the channels of the migration";
    const early = candidate.order < this.main;
    const age = performance.now() - Math.max(since, this.begun);
    const rivals = this.rivals(candidate);
    const newer = early ? rivals.find(({ order }) => order > this.main) : undefined;
    if (newer !== undefined) return `a newer connection is multifd channel ${newer.id}`;
    if ((!early || age >= SETTLED) && sendsPages(head, this.ram)) return "taken";
    if (rivals.length === 0) return this.uuid === uuid || age >= SETTLED ? "taken" : undefined;
    if (age < GRACE) return undefined;
    return rivals.every((rival) => this.isBefore(candidate, rival)) ? "taken" : undefined;
  }

  /** Those of which only one can be of this migration. */
  private rivals(candidate: Candidate): Candidate[] {
    const { uuid, id } = candidate;
    return [...this.candidates].filter(
      (one) =>
        one !== candidate &&
        !one.closed() &&
        (one.uuid === uuid ? one.id === id : this.uuid === undefined) &&
        (one.order > this.main || candidate.order < this.main),
    );
  }

  private isBefore(candidate: Candidate, rival: Candidate): boolean {
    const all = [...this.candidates];
    const channels = ({ uuid }: Candidate): number =>
      new Set(all.filter((one) => one.uuid === uuid && !one.closed()).map(({ id }) => id)).size;
    const more = channels(candidate) - channels(rival);
    return more === 0 ? all.indexOf(candidate) < all.indexOf(rival) : more > 0;
  }
}

/** Whether the first packets of a channel have pages of a block that is known. */
function sendsPages(head: Uint8Array, ram: RamState | undefined): boolean {
  const pageSize = ram?.pageSize ?? 4096;
  const length = ramPacketLength(pageSize);
  for (let at = INIT_LENGTH; at + length <= head.length; at += length) {
    const packet = decodeRamPacket(head.subarray(at, at + length), pageSize);
    if (packet.magic !== MULTIFD_MAGIC || packet.version !== MULTIFD_VERSION) return false;
    const pages = packet.normalPages + packet.zeroPages;
    if (pages === 0) continue;
    if (pages > pagesPerPacket(pageSize)) return false;
    const block = ram?.find(packet.idstr);
    if (block === undefined) return false;
    return packet.offsets.slice(0, pages).every((offset) => offset < BigInt(block.usedLength));
  }
  return false;
}

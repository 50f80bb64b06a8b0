import { MultifdFlag, type RamPacket } from "../../codec/multifd/index.js";

/**
 * What the packets of one multifd channel show so far. Packets are numbered over all channels of a migration, and each
 * channel gets equally many SYNC packets.
 */
export class PacketNumbers {
  packets = 0;
  /** Packets with SYNC. */
  syncs = 0;
  hasPages = false;
  /** The highest packet number. */
  last = -1n;
  /** Its packets can be read; else nothing is known of it. */
  counts = true;
  /**
   * SYNC was set on a packet with pages. Until 8.2 SYNC may overtake pages that wait for their thread: its packet number
   * occurs again on a following empty packet, which is not sent any more when the migration has just ended.
   */
  owes = false;

  note({ flags, normalPages, zeroPages, packetNum }: RamPacket): void {
    const [pages, syncs] = [normalPages + zeroPages > 0, (flags & MultifdFlag.SYNC) !== 0];
    this.packets++;
    if (syncs) this.syncs++;
    if (packetNum > this.last) this.last = packetNum;
    this.hasPages ||= pages;
    // Only an empty packet without SYNC settles this: another SYNC may overtake that one too.
    if (pages || !syncs) this.owes = pages && syncs;
  }
}

/**
 * Those that are late, or of nobody: without pages, and with fewer SYNC packets than others. Of the migration is one
 * whose packets the others' numbers lack.
 */
export function idle<T extends PacketNumbers>(channels: readonly T[]): ReadonlySet<T> {
  const most = channels.reduce((sum, { counts, syncs }) => (counts ? Math.max(sum, syncs) : sum), 0);
  return new Set(channels.filter(({ hasPages, syncs }) => !hasPages && syncs < most));
}

/** The highest packet number of them. */
export function lastNumber(channels: readonly PacketNumbers[]): bigint {
  return channels.reduce((most, { last }) => (last > most ? last : most), -1n);
}

/** Whether every packet has come that their numbers refer to. */
export function allNumbered(channels: readonly PacketNumbers[]): boolean {
  const packets = channels.reduce((sum, { packets: own, owes }) => sum + own + (owes ? 1 : 0), 0);
  return BigInt(packets) > lastNumber(channels);
}

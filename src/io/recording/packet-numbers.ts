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
   * SYNC was set on a packet with pages. Until 8.2 SYNC may overtake pages that wait for their thread: its packet
   * number occurs again on a following empty packet, which is not sent any more when the migration has just ended.
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
 * Those that are proven to be of nobody. They have no pages and fewer SYNC packets than others, and so may be late; but
 * the others have every number up to their highest one, which leaves none for a packet of these that has come, or for a
 * SYNC that they have missed: a source waits until each channel has sent one before it numbers what follows.
 *
 * Source: QEMU migration/multifd.c multifd_send_sync_main (5.2 to 11.1).
 */
export function idle<T extends PacketNumbers>(channels: readonly T[]): ReadonlySet<T> {
  const most = channels.reduce((sum, { counts, syncs }) => (counts ? Math.max(sum, syncs) : sum), 0);
  const late = channels.filter(({ hasPages, syncs }) => !hasPages && syncs < most);
  const others = channels.filter((channel) => !late.includes(channel));
  const last = lastNumber(others);
  const packets = others.reduce((sum, { packets: own }) => sum + own, 0);
  if (BigInt(packets) <= last || others.some(({ counts }) => !counts)) return new Set();
  return new Set(late.filter((one) => (one.packets > 0 && one.last <= last) || one.syncs + 1 < most));
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

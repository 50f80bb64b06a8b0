import type { QemuResult } from "./run-qemu.js";
import { count, type Outcomes } from "./tally.js";

/** Results of a real destination, put in order. */
export interface QemuReport {
  cases: number;
  outcomes: Outcomes;
  /** Refusals by QEMU's words, numbers and names taken out, the most frequent first. */
  texts: { text: string; cases: number; seed: number }[];
  /** Every hang, signal and odd end. */
  remarkable: QemuResult[];
  /** Cases that one accepts and the other refuses, by the message of the latter. */
  differences: { qemu: string; ours: string; cases: number; seed: number; did: string }[];
}

/** Puts results in order. */
export function reportOf(results: readonly QemuResult[]): QemuReport {
  const report: QemuReport = { cases: results.length, outcomes: {}, texts: [], remarkable: [], differences: [] };
  const texts = new Map<string, QemuReport["texts"][number]>();
  const differences = new Map<string, QemuReport["differences"][number]>();
  for (const result of results) {
    const { outcome, kinds, seed, did, ours } = result;
    count(report.outcomes, kinds, outcome);
    if (outcome !== "loaded" && outcome !== "refused") report.remarkable.push(result);
    if (outcome === "refused") {
      const text = plainText(result.text);
      const row = texts.get(text) ?? { text, cases: 0, seed };
      row.cases++;
      texts.set(text, row);
    }
    // What is opaque to us was not judged by us.
    if (ours.outcome === "opaque" || (outcome === "loaded") === (ours.outcome === "accepted")) continue;
    const qemu = outcome === "refused" ? plainText(result.text) : outcome;
    const words = ours.outcome === "accepted" ? "accepted" : plainText(ours.message ?? ours.outcome);
    const key = `${qemu}\n${words}`;
    const row = differences.get(key) ?? { qemu, ours: words, cases: 0, seed, did };
    row.cases++;
    differences.set(key, row);
  }
  report.texts = [...texts.values()].toSorted((a, b) => b.cases - a.cases);
  report.differences = [...differences.values()].toSorted((a, b) => b.cases - a.cases);
  return report;
}

/**
 * What a program says first, its warnings after all else, without what differs from case to case: its name, addresses,
 * numbers, names in quotes.
 */
export function plainText(text: string): string {
  const lines = text.trim().split("\n");
  const first = lines.find((line) => !/^(?:\S+: )?warning: /u.test(line)) ?? lines[0] ?? "";
  return first
    .replace(/^[^ ]*qemu-system-[a-z0-9_]+: /u, "")
    .replace(/^at byte 0x[0-9a-f]+(?:, [^:]*)?: /u, "")
    .replaceAll(/(?<=^|[ (])(["']).*?\1/gu, "$1..$1")
    .replace(/(?<=find block ).*/u, "..")
    .replaceAll(/0x[0-9a-f]+|\b[0-9][0-9,]*\b|\b(?=[a-f]*[0-9])[0-9a-f]{4,}\b/gu, "N")
    .replaceAll(/[^\x20-\x7e]/gu, "?")
    .slice(0, 160);
}

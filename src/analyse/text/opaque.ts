import type { Inspection } from "../inspect/inspect.js";
import { UNDESCRIBED } from "../../codec/stream/index.js";
import { fileSize, safe } from "../../bytes/text.js";
import { wrapped } from "./lines.js";
import { most } from "./voice.js";

type Part = Inspection["undecoded"][number];

/** Maximum number of printed lines; the rest is counted. */
const MOST = 20;

/** The parts that were not decoded, with reasons; adjacent parts with the same reason share a line. */
export function opaqueLines(undecoded: readonly Part[]): string[] {
  const runs: (Part & { parts: number })[] = [];
  for (const part of undecoded) {
    const last = runs.at(-1);
    if (last?.reason !== part.reason) runs.push({ ...part, parts: 1 });
    else {
      last.parts++;
      last.length += part.length;
    }
  }
  const lines = runs.slice(0, most(MOST)).flatMap(({ streamOffset: offset, length, parts, reason }) => {
    const where =
      parts === 1 ? `at byte 0x${offset.toString(16)}` : `${parts} parts from byte 0x${offset.toString(16)}`;
    return wrapped(`  ${where}, ${fileSize(length)}:`, safe(reason).split(" "), " ", "    ");
  });
  if (runs.length > most(MOST)) lines.push(`  and ${runs.length - most(MOST)} more (-v lists all)`);
  if (runs.some(({ reason }) => reason === UNDESCRIBED)) {
    lines.push("  --schema CAPTURE reads it by another capture of the same QEMU and machine");
  }
  return lines;
}

import type { SectionSummary } from "../inspect/inspect.js";
import { Keys } from "../../codec/vmstate/groups.js";
import { RecordDigest } from "./record-digest.js";
import type { Scanned } from "./scan.js";
import { Differences } from "./parts.js";
import type { PartDifference } from "./types.js";

/** One section with all its parts. */
interface Whole extends SectionSummary {
  parts: number;
}

/** Which sections there are, in which versions and in which order. */
export function compareSections(a: Scanned, b: Scanned): PartDifference[] {
  const out = new Differences("section");
  const [sa, sb] = [wholes(a), wholes(b)];
  const both: string[] = [];
  const renumbered: string[] = [];
  for (const [key, section] of sa) {
    const other = sb.get(key);
    if (other === undefined) {
      const known = section.type === "full" && b.rests.length > 0;
      if (!known) out.value("meaning", key, versionOf(section), null, { a: section.streamOffset, b: null });
      continue;
    }
    both.push(key);
    const offset = { a: section.streamOffset, b: other.streamOffset };
    out.value("meaning", `${key} version_id`, section.version, other.version, offset);
    out.value("encoding", `${key} parts`, section.parts, other.parts, offset);
    if (section.id !== other.id) renumbered.push(key);
  }
  for (const [key, section] of sb) {
    const known = section.type === "full" && a.rests.length > 0;
    if (!sa.has(key) && !known)
      out.value("meaning", key, null, versionOf(section), { a: null, b: section.streamOffset });
  }
  const order = [...sb.keys()].filter((key) => sa.has(key));
  const at = both.findIndex((key, i) => key !== order[i]);
  if (at >= 0) {
    const [inA, inB] = [both[at]!, order[at]!];
    out.value("meaning", "order", inA, inB, { a: sa.get(inA)!.streamOffset, b: sb.get(inB)!.streamOffset });
  }
  const [first] = renumbered;
  if (first !== undefined) {
    const name = renumbered.length === 1 ? `${first} section_id` : `section_id of ${renumbered.length}, ${first}`;
    const [ida, idb] = [sa.get(first)!, sb.get(first)!];
    out.value("encoding", name, ida.id, idb.id, { a: ida.streamOffset, b: idb.streamOffset });
  }
  out.value("encoding", "footers", a.inspection.footers, b.inspection.footers);
  return out.found;
}

/** Sections that consist of records: the same records in the same order, or not. */
export function compareRecords(a: Scanned, b: Scanned): PartDifference[] {
  const out = new Differences("records");
  for (const [key, digest] of a.records) {
    const other = b.records.get(key);
    if (other === undefined || digest.sha256 === other.sha256) continue;
    const offset = RecordDigest.firstDifference(digest, other);
    // Counts may be the same: what the records hold is not.
    out.found.push({
      level: "meaning",
      part: "records",
      subject: key,
      a: String(digest),
      b: String(other),
      streamOffset: offset,
    });
  }
  return out.found;
}

function versionOf({ version }: SectionSummary): string {
  return `version ${version}`;
}

/** Sections by "name/instance", with "#2" for a second one of that name; parts are counted to their START. */
function wholes({ inspection }: Scanned): Map<string, Whole> {
  const all = new Map<string, Whole>();
  const keys = new Keys();
  const byId = new Map<number, Whole>();
  for (const section of inspection.sections) {
    const begun = section.type === "start" || section.type === "full" ? undefined : byId.get(section.id);
    if (begun !== undefined) {
      begun.parts++;
      continue;
    }
    const whole = { ...section, parts: 1 };
    all.set(keys.unique(`${section.section}/${section.instance}`), whole);
    byId.set(section.id, whole);
  }
  return all;
}

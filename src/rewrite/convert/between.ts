import { isEarlySection, type StreamItem } from "../../codec/stream/index.js";

/**
 * A section that comes before or between the rounds and has nothing to do with the pages: it is written in place.
 */
export function standsBetween(item: StreamItem): boolean {
  if (item.kind !== "section" || item.content.kind === "ram") return false;
  return item.type === "full" ? isEarlySection(item.idstr) : item.content.kind !== "device";
}

import type { Inspection } from "../inspect/inspect.js";
import { fileSize, memorySize, safe } from "../../bytes/text.js";
import { wrapped } from "./lines.js";
import { most } from "./voice.js";

type ShownCommand = Inspection["commands"][number];

/** Maximum number of printed lines; the rest is counted. */
const MOST = 40;

/** The commands of a stream with their values. Commands without values share one line. */
export function commandLines({ commands }: Inspection): string[] {
  if (commands.length === 0) return [];
  if (commands.every((command) => Object.keys(command).length === 2)) {
    return [`Commands: ${commands.map((command) => command.name).join(", ")}`];
  }
  const shown = commands
    .slice(0, most(MOST))
    .flatMap((command) => wrapped(`  at byte 0x${command.streamOffset.toString(16)}:`, words(command), " ", "    "));
  if (commands.length > most(MOST)) shown.push(`  and ${commands.length - most(MOST)} more (-v lists all)`);
  return ["Commands:", ...shown];
}

function words(command: ShownCommand): string[] {
  const found = [safe(command.name)];
  for (const [field, value] of Object.entries(command)) {
    if (field === "name" || field === "streamOffset" || field === "channelOffset") continue;
    if (Array.isArray(value)) {
      const bytes = value.reduce((sum, range) => sum + range.length, 0);
      found.push(`${value.length} ${value.length === 1 ? "range" : "ranges"}, ${memorySize(bytes)}`);
    } else if (field === "length") {
      found.push(fileSize(Number(value)));
    } else {
      found.push(safe(field === "value" ? String(value) : `${field} ${value}`));
    }
  }
  return found;
}

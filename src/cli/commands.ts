import type { Inspection } from "../inspect/inspect.js";
import { fileSize, memorySize, safe } from "./output.js";

type ShownCommand = Inspection["commands"][number];

/** Lines that are printed before the rest is counted. */
const MOST = 40;

/** The commands of a stream with their values, those that say nothing on one line. */
export function commandLines({ commands }: Inspection): string[] {
  if (commands.length === 0) return [];
  if (commands.every((command) => Object.keys(command).length === 2)) {
    return [`Commands: ${commands.map((command) => command.name).join(", ")}`];
  }
  const shown = commands
    .slice(0, MOST)
    .map((command) => `  at byte 0x${command.offset.toString(16)}: ${text(command)}`);
  if (commands.length > MOST) shown.push(`  and ${commands.length - MOST} more (--json lists all)`);
  return ["Commands:", ...shown];
}

function text(command: ShownCommand): string {
  const words = [safe(command.name)];
  for (const [field, value] of Object.entries(command)) {
    if (field === "name" || field === "offset") continue;
    if (Array.isArray(value)) {
      const bytes = value.reduce((sum, range) => sum + range.length, 0);
      words.push(`${value.length} ${value.length === 1 ? "range" : "ranges"}, ${memorySize(bytes)}`);
    } else if (field === "length") {
      words.push(fileSize(Number(value)));
    } else {
      words.push(safe(field === "value" ? String(value) : `${field} ${value}`));
    }
  }
  return words.join(" ");
}

import { hex } from "../../bytes/errors.js";
import type { MachineAlias } from "../../guest/machines/index.js";

/** `at byte 0x1a5ae3d`: how addresses are said everywhere. */
export function at(offset: number): string {
  return `at byte ${hex(offset)}`;
}

/** A name from a stream or a text, quoted. */
export function quoted(name: string): string {
  return JSON.stringify(name);
}

/** `1 page`, `3 pages`. */
export function counted(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}

/** The first few of a list, and how many more there are. */
export function some(items: readonly string[], most = 8): string {
  const more = items.length > most ? `, and ${items.length - most} more` : "";
  return items.slice(0, most).join(", ") + more;
}

/** `Ubuntu's name`: whose name of a machine type it is. */
export function distributionWords({ distribution }: MachineAlias): string {
  return `${distribution}'s name`;
}

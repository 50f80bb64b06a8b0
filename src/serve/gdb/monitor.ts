import { hex, QevmError } from "../../bytes/errors.js";
import { HexLines } from "../../bytes/hex-lines.js";
import { safe } from "../../bytes/text.js";
import type { PlainDevice } from "../../codec/vmstate/index.js";
import type { CpuState } from "../../guest/cores/cpu-state.js";
import { translate } from "../../guest/walk/index.js";
import type { GuestChanges } from "../../rewrite/generate/changes.js";
import type { SavedGuest } from "./guest.js";

/** What monitor commands need of the program. */
export interface MonitorTools {
  /** The fields of a device by its section's name, or name/instance; for other devices than CPUs. */
  devices: (name: string) => Promise<{ name: string; instance: number; device: PlainDevice }[]>;
  /** Writes a new stream with the changes; returns a line about it. Undefined: this client may not. */
  save: ((path: string, changes: GuestChanges) => Promise<string>) | undefined;
}

const HELP = `monitor devices NAME[/N]   the fields of a device, as qevm devices names them: cpu, cpu/1
monitor layout             which RAM block is at which physical address
monitor save FILE          a new stream with what was written; FILE must not exist
monitor translate ADDRESS  the page tables that a virtual address goes through
monitor xp ADDRESS [N]     N bytes (64) at a physical address
`;
/** Lines and bytes that a command prints at most. */
const MOST_LINES = 2000;
const MOST_BYTES = 4096;

/** Runs a monitor command, and returns what it prints. */
export async function monitor(line: string, guest: SavedGuest, cpu: CpuState, tools: MonitorTools): Promise<string> {
  try {
    return await run(line.trim(), guest, cpu, tools);
  } catch (error) {
    if (error instanceof QevmError) return `${safe(error.message)}\n`;
    throw error;
  }
}

async function run(line: string, guest: SavedGuest, cpu: CpuState, tools: MonitorTools): Promise<string> {
  const [, name = "", rest = ""] = /^(\S+)\s*(.*)$/su.exec(line) ?? [];
  switch (name) {
    case "help":
      return HELP;
    case "devices":
      return lines(await devices(rest, guest, tools));
    case "layout":
      return lines(
        guest.layout.segments.map(
          ({ start, length, block, offset }) =>
            `${hex(start)}-${hex(start + length - 1)} ${safe(block)} from ${hex(offset)}`,
        ),
      );
    case "save":
      if (tools.save === undefined) return "this client may not save: see --allow-save\n";
      return rest === "" ? "monitor save FILE\n" : `${safe(await tools.save(rest, guest.changes))}\n`;
    case "translate":
      return lines(await walked(numberIn(rest), guest, cpu));
    case "xp": {
      const [address = "", count = "64"] = rest.split(/\s+/u);
      return lines(await dump(Number(numberIn(address)), Number(numberIn(count)), guest));
    }
    default:
      return `unknown command; there are\n${HELP}`;
  }
}

function lines(all: readonly string[]): string {
  const some = all.slice(0, MOST_LINES);
  if (some.length < all.length) some.push(`and ${all.length - some.length} lines more`);
  return some.map((one) => `${one}\n`).join("");
}

/** Errors: usage. */
function numberIn(text: string): bigint {
  if (/^(?:0x[0-9a-f]{1,16}|\d{1,19})$/iu.test(text)) return BigInt(text);
  throw new QevmError("usage", `an address or a number, not ${JSON.stringify(text)}`);
}

async function devices(name: string, guest: SavedGuest, tools: MonitorTools): Promise<string[]> {
  const cpus = guest.cpus.map(({ instance, device }) => ({ name: "cpu", instance, device }));
  const wanted = (one: { name: string; instance: number }): boolean =>
    one.name === name || `${one.name}/${one.instance}` === name;
  const found = /^cpu(?:\/\d+)?$/u.test(name) ? cpus.filter((one) => wanted(one)) : await tools.devices(name);
  if (found.length === 0) return [`no device ${JSON.stringify(safe(name))}`];
  const all: string[] = [];
  for (const { name: section, instance, device } of found) {
    all.push(`${safe(section)}/${instance}`);
    for (const [key, value] of [...Object.entries(device.fields), ...Object.entries(device.subsections)]) {
      all.push(`  ${safe(key)} = ${shown(value)}`);
    }
  }
  return all;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value, (_, one: unknown) => (typeof one === "bigint" ? String(one) : one));
  return safe(text.length > 400 ? `${text.slice(0, 400)}...` : text);
}

async function walked(address: bigint, guest: SavedGuest, cpu: CpuState): Promise<string[]> {
  const space = guest.space(cpu);
  const found = await translate(space, address);
  return [
    `CPU ${cpu.instance}: ${space.mode}`,
    ...found.steps.map(({ level, index, at, meaning }) => `  ${level} entry ${index} at ${hex(at)}: ${meaning}`),
    found.physical === undefined ? `not mapped: ${found.fault}` : `physical ${hex(found.physical)}`,
  ];
}

async function dump(address: number, count: number, guest: SavedGuest): Promise<string[]> {
  if (count > MOST_BYTES) throw new QevmError("usage", `at most ${MOST_BYTES} bytes`);
  const rows = new HexLines(address);
  const text = rows.add(await guest.readPhysical(address, count)) + rows.end();
  return text === "" ? [] : text.trimEnd().split("\n");
}

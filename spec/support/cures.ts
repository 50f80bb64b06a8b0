/** Carries out explain's proposal: replaces the destination's arguments, and the placeholders. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Explanation, Remedy } from "../../src/index.js";
import { qevm } from "./program.js";

/** Options that occur once: a new value replaces the old one. */
const ONCE = new Set(["-m", "-machine", "-bios", "-uuid", "-smp"]);

/** Arguments with those of a remedy, replaced or appended. */
export function merged(args: readonly string[], added: readonly string[]): string[] {
  const out = [...args];
  for (let i = 0; i < added.length; i += 2) {
    const [option = "", value = ""] = added.slice(i, i + 2);
    const at = out.indexOf(option);
    const [property = ""] = value.split("=");
    const same = option === "-global" ? out.findIndex((word) => word.startsWith(`${property}=`)) : -1;
    if (same >= 0) out[same] = value;
    else if (ONCE.has(option) && at >= 0) out[at + 1] = value;
    else out.push(option, value);
  }
  return out;
}

/** Values for the placeholders: disks, character devices, firmware, ... */
export function withOwnThings(
  args: readonly string[],
  { inspection }: Explanation,
  machine?: string,
): { args: string[]; files: Record<string, Buffer> } {
  const own: string[] = [];
  for (const name of new Set(args.join(",").match(/\b(?:DRIVE|CHARDEV|AUDIODEV|FSDEV|BMC|MEMDEV)\d+\b/gu) ?? [])) {
    if (name.startsWith("DRIVE")) own.push("-blockdev", `driver=null-co,node-name=${name},size=1048576,read-zeroes=on`);
    else if (name.startsWith("CHARDEV")) own.push("-chardev", `null,id=${name}`);
    else if (name.startsWith("AUDIODEV")) own.push("-audiodev", `none,id=${name}`);
    else if (name.startsWith("FSDEV")) own.push("-fsdev", `synth,id=${name}`);
  }
  const firmware = inspection.ram.blocks.find(({ block: name }) => name === "pc.bios")?.blockLength ?? 0;
  const words = args.map((arg) =>
    arg === "BIOS" ? "$DIR/firmware" : machine === undefined ? arg : arg.replace(/^TYPE\b/u, machine),
  );
  return { args: [...own, ...words], files: { firmware: Buffer.alloc(firmware) } };
}

/** Capabilities after a remedy's monitor commands. */
export function setBy(monitor: readonly string[], before: readonly string[]): string[] {
  const on = new Set(before);
  for (const line of monitor) {
    const [, name = "", state] = /^migrate_set_capability (\S+) (on|off)$/u.exec(line) ?? [];
    if (state === "on") on.add(name);
    else on.delete(name);
  }
  return [...on];
}

/** Runs a remedy's command on a stream, with FILE and NEW as files. Returns the output. */
export async function run(
  { command = [] }: Remedy,
  stream: Uint8Array,
): Promise<{ code: number | null; stderr: string; made: Buffer }> {
  const folder = mkdtempSync(join(tmpdir(), "qevm-explain-"));
  try {
    writeFileSync(join(folder, "FILE"), stream);
    const { code, stderr } = await qevm(command.slice(1), { cwd: folder });
    return { code, stderr, made: code === 0 ? readFileSync(join(folder, "NEW")) : Buffer.alloc(0) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";

/** Names of the subsections that a QEMU knows, by the name of what has them. */
export type KnownSubsections = Map<string, Set<string>>;

/**
 * Asks a QEMU which subsections its devices have: `-dump-vmstate`, which ends at once. Undefined where it does not say
 * so. CPUs and what is no device are not among them. Source: migration/savevm.c `dump_vmstate_json_to_file` (5.2 to
 * 11.1).
 * @param command program and arguments
 * @param path new file that it writes; the caller removes it
 * @param inner the same in the program's view
 */
export async function askSubsections(
  command: readonly string[],
  path: string,
  inner: string,
  seconds: number,
): Promise<KnownSubsections | undefined> {
  const [file = "", ...args] = command;
  const child = spawn(file, [...args, "-display", "none", "-dump-vmstate", inner], { stdio: "ignore" });
  const timer = setTimeout(() => child.kill("SIGKILL"), seconds * 1000);
  const code = await new Promise((resolve) => {
    child.once("error", () => resolve(null));
    child.once("close", resolve);
  });
  clearTimeout(timer);
  if (code !== 0) return undefined;
  try {
    return subsectionsOf(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

interface Dumped {
  name?: string;
  Fields?: { Description?: Dumped }[];
  Subsections?: Dumped[];
}

/** Those of the text that `-dump-vmstate` writes. Errors: SyntaxError. */
export function subsectionsOf(text: string): KnownSubsections {
  const found: KnownSubsections = new Map();
  const add = ({ name = "", Fields = [], Subsections = [] }: Dumped): void => {
    const names = found.get(name) ?? new Set<string>();
    found.set(name, names);
    for (const one of Subsections) {
      names.add(one.name ?? "");
      add(one);
    }
    for (const { Description } of Fields) if (Description !== undefined) add(Description);
  };
  const devices = JSON.parse(text) as Record<string, { Description?: Dumped }>;
  for (const { Description } of Object.values(devices)) if (Description !== undefined) add(Description);
  return found;
}

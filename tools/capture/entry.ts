/** The recipe of a capture: the machine, the steps, and its purpose. */
import type { JsonObject } from "../../src/io/transport/qmp.js";
import { usualProgram } from "../qemu/find.js";

/** One step of a capture, run in order and recorded. Strings may use `$DIR`, the working folder. */
export type Step =
  /** A QMP command. */
  | { readonly execute: string; readonly arguments?: JsonObject }
  /** A human monitor command. */
  | { readonly human: string }
  /** Waits until the first CPU halts (firmware has nothing left to do). */
  | { readonly wait: "halted" }
  /** Waits until the guest has set its mark. */
  | { readonly wait: "guest" }
  /** Waits until a word of guest memory has a value (guests of other targets). */
  | { readonly wait: "mark"; readonly address: number; readonly value: number }
  /** Waits until the migration has synced dirty memory `count` times. */
  | { readonly wait: "rounds"; readonly count: number }
  /** Waits until the migration is over; a failure ends the capture. */
  | { readonly wait: "completed" };

/** A file created in the working folder before QEMU starts. */
export interface WorkFile {
  readonly name: string;
  readonly content: () => Uint8Array;
}

/** One folder of the corpus. */
export interface Entry {
  readonly name: string;
  /** Description for the table in corpus/README.md. */
  readonly shows: string;
  /** `major.minor` of the QEMU that makes it. */
  readonly qemu: string;
  /** The program, e.g. "qemu-system-s390x". */
  readonly program: string;
  /** Arguments after the common ones. */
  readonly args: readonly string[];
  readonly files: readonly WorkFile[];
  readonly capabilities: readonly string[];
  readonly parameters: JsonObject;
  readonly steps: readonly Step[];
  /** Guest-physical ranges besides main memory whose contents are part of the truth. */
  readonly ranges: readonly { readonly start: number; readonly length: number }[];
  /** Why the QEMU that made the stream cannot load it, where that is known. */
  readonly notLoadable?: string;
}

/** An entry in the lists; {@link entry} adds the steps. */
export interface Recipe {
  readonly name: string;
  readonly shows: string;
  readonly qemu?: string;
  /** Default: `usualProgram`. */
  readonly program?: string;
  readonly args: readonly string[];
  readonly files?: readonly WorkFile[];
  readonly capabilities?: readonly string[];
  readonly parameters?: JsonObject;
  /** Steps after the initial wait and before the migration. */
  readonly before?: readonly Step[];
  /** What to wait for first; "nothing" for a VM that never starts (`-S`). */
  readonly until?: "halted" | "guest" | "nothing";
  /** Keep the guest running during the capture, for at least this many rounds. */
  readonly rounds?: number;
  readonly notLoadable?: string;
  /** Arguments of `migrate` besides the URI. */
  readonly migrate?: JsonObject;
  /** Target of the stream; default `exec:cat > $DIR/stream`. */
  readonly uri?: string;
  readonly ranges?: Entry["ranges"];
}

/** Bytes per second while a live capture repeats its rounds. */
const liveBandwidth = 1 << 20;

/** Turns a recipe into the exact steps. */
export function entry(recipe: Recipe): Entry {
  const { name, shows, qemu = "7.2", args, files = [], capabilities = [], parameters = {}, until = "halted" } = recipe;
  const { program = usualProgram } = recipe;
  const live = recipe.rounds !== undefined;
  const all: JsonObject = live ? { "max-bandwidth": liveBandwidth, "downtime-limit": 1, ...parameters } : parameters;
  const steps: Step[] = [];
  if (until !== "nothing") steps.push({ wait: until });
  steps.push(...(recipe.before ?? []));
  if (!live && until !== "nothing") steps.push({ execute: "stop" });
  if (capabilities.length > 0) {
    const list = capabilities.map((capability) => ({ capability, state: true }));
    steps.push({ execute: "migrate-set-capabilities", arguments: { capabilities: list } });
  }
  if (Object.keys(all).length > 0) steps.push({ execute: "migrate-set-parameters", arguments: all });
  const uri = recipe.uri ?? "exec:cat > $DIR/stream";
  steps.push({ execute: "migrate", arguments: { uri, ...recipe.migrate } });
  if (recipe.rounds !== undefined) {
    steps.push({ wait: "rounds", count: recipe.rounds });
    steps.push({ execute: "migrate-set-parameters", arguments: { "downtime-limit": 20_000 } });
  }
  steps.push({ wait: "completed" });
  const { ranges = [] } = recipe;
  const made: Entry = { name, shows, qemu, program, args, files, capabilities, parameters: all, steps, ranges };
  return recipe.notLoadable === undefined ? made : { ...made, notLoadable: recipe.notLoadable };
}

import { QevmError } from "../bytes/errors.js";
import { helpFor } from "./help-text.js";
import { subject, UsageError } from "./arguments.js";
import { endBySignals } from "../io/transport/unfinished.js";
import { refusal } from "../analyse/text/lines.js";
import { beginDocument, printFailure } from "./document.js";
import { beginOutput, tell } from "./output.js";
import { statusOf } from "./status.js";

/** The exports of a command's module. */
export interface Command {
  run(args: string[]): Promise<number>;
}

/** Runs a command. Returns the exit status, see `status.ts`. */
export async function run(name: string, args: string[], load: () => Promise<Command>): Promise<number> {
  endBySignals();
  beginDocument(name, args);
  beginOutput(args);
  const inOneLine = args.includes("--jsonl");
  const isJson = inOneLine || args.includes("--json");
  try {
    const command = await load();
    return await command.run(args);
  } catch (thrown) {
    const error = withFullDisk(thrown);
    if (error instanceof UsageError || (error instanceof QevmError && error.code === "usage")) {
      if (isJson) printFailure(error, { inOneLine });
      tell(`qevm ${name}: ${error.message}\n${helpFor(name, args[0]).split("\n", 1)[0]}`);
      return 2;
    }
    if (!(error instanceof QevmError)) throw error;
    if (isJson) printFailure(error, { inOneLine });
    const file = subject === "-" ? "standard input" : subject;
    tell(error.offset === undefined ? `qevm ${name}: ${error.message}` : refusal(file, error));
    return statusOf(error, name);
  }
}

/** A full disk is not a bug, wherever the error occurs. */
export function withFullDisk(error: unknown): unknown {
  const system = error instanceof Error && "syscall" in error && !(error instanceof QevmError);
  return system ? new QevmError("io", error.message, { cause: error }) : error;
}

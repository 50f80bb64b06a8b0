#!/usr/bin/env node
// The program. It imports only the help texts, so that `qevm --help` starts quickly; each command loads its own code.
import { COMMANDS } from "./help.js";
import { helpFor, overview } from "./help-text.js";

const isCommand = (text: string): boolean => Object.hasOwn(COMMANDS, text);

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // The reader of the pipe has closed it (`| head`), so no output is needed.
  if (error.code === "EPIPE") process.exit(0);
  const [name = ""] = process.argv.slice(2);
  process.stderr.write(`qevm${isCommand(name) ? ` ${name}` : ""}: standard output: ${error.message}\n`);
  process.exit(2);
});

// Nobody reads the messages any more, or their disk is full: a migration under way must not end for that.
process.stderr.on("error", () => undefined);

// Any other exception is a bug of this program: print one line and exit with the status that sysexits.h has for it.
process.on("uncaughtException", (error: unknown) => {
  const [name = ""] = process.argv.slice(2);
  const text = String(error)
    .replace(/[^ -~]+/gu, " ")
    .slice(0, 300);
  process.stderr.write(`qevm${isCommand(name) ? ` ${name}` : ""}: internal error, please report: ${text}\n`);
  const debug = process.env["QEVM_DEBUG"] ?? "";
  if (debug !== "" && error instanceof Error) process.stderr.write(`${error.stack ?? ""}\n`);
  process.exit(70);
});

/** Commands that are over when they return: what they wrote is in its files, and no peer is to be told anything. */
const FINISHED = new Set(["inspect", "devices", "dump", "verify", "explain", "report", "diff", "extract", "unpack"]);

/**
 * Ends the process when its output is written; an output that fails ends it by its error. Left alone, Node gives back
 * all memory first, for 20 to 50 ms.
 */
function leave(): void {
  process.stdout.write("", (failed) => {
    if (failed == null) process.stderr.write("", () => process.exit());
  });
}

async function main([name, ...args]: string[]): Promise<void> {
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    const topic = name === "help" ? args[0] : undefined;
    const wrong = name === undefined || (topic !== undefined && !isCommand(topic));
    const text = topic === undefined ? overview() : helpFor(topic, args[1]);
    (wrong ? process.stderr : process.stdout).write(text);
    process.exitCode = wrong ? 2 : 0;
  } else if (name === "--version" || name === "-V") {
    const { version } = await import("./version.js");
    process.stdout.write(`${version()}\n`);
  } else if (!isCommand(name)) {
    const { didYouMean } = await import("../bytes/nearest.js");
    const near = didYouMean(name, Object.keys(COMMANDS));
    process.stderr.write(`qevm: unknown command ${JSON.stringify(name)}${near}\n\n${overview()}`);
    process.exitCode = 2;
  } else if (args.includes("--help") || args.includes("-h")) {
    process.stdout.write(helpFor(name, args[0]));
  } else {
    const { start } = await import("./start.js");
    process.exitCode = await start(name, args);
    if (FINISHED.has(name)) leave();
  }
}

void main(process.argv.slice(2));

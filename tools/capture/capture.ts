/** Makes one entry of the corpus: start, steps, truth, files. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { QevmError } from "../../src/bytes/errors.js";
import { checkLoad } from "../destination/check.js";
import { findQemu } from "../qemu/find.js";
import { commonArguments, makeWorkFolder, QemuProcess } from "../qemu/process.js";
import { type JsonObject, textOf } from "../../src/io/transport/qmp.js";
import { sha256Of } from "../sha256.js";
import type { Entry, Step } from "./entry.js";
import { packed, pretty } from "./recorded.js";
import { runStep } from "./steps.js";
import { takeTruth, type Truth } from "./truth.js";

/** The content of capture.json. */
export interface Capture {
  readonly name: string;
  readonly shows: string;
  /** First line of the program's `--version`. */
  readonly qemu: string;
  readonly version: string;
  /** The machine type without "-machine", as the configuration section names it where there is one. */
  readonly machine: string;
  /** The exact command; `$DIR` is a working folder. */
  readonly command: readonly string[];
  /** Files that were in `$DIR` before the start. */
  readonly files: readonly { readonly name: string; readonly length: number; readonly sha256: string }[];
  readonly capabilities: readonly string[];
  readonly parameters: JsonObject;
  readonly steps: readonly Step[];
  readonly stream: { readonly length: number; readonly sha256: string };
}

/** A capture that was just made. */
export interface Made {
  readonly capture: Capture;
  readonly truth: Truth;
  readonly stream: Buffer;
  /** The entry's files as the source left them. */
  readonly left: Readonly<Record<string, Uint8Array>>;
}

/**
 * Makes a capture without storing it: starts QEMU, runs the steps, records the truth. The stream is in `$DIR/stream`.
 * Rejects with QEMU's error text when anything fails. `look` is called with the source before it ends.
 */
export async function takeCapture(
  entry: Entry,
  look: (vm: QemuProcess) => Promise<void> | void = () => undefined,
): Promise<Made> {
  const qemu = findQemu(entry.qemu, entry.program);
  if (qemu === undefined) throw new QevmError("unsupported", `no ${entry.program} ${entry.qemu} here`);
  const folder = makeWorkFolder(qemu);
  const files = entry.files.map(({ name, content }) => {
    const bytes = content();
    writeFileSync(join(folder, name), bytes);
    return { name, length: bytes.length, sha256: sha256Of(bytes) };
  });
  const vm = await QemuProcess.start(qemu, entry.args, folder);
  try {
    const machine = textOf(await vm.execute("qom-get", { path: "/machine", property: "type" })).replace(
      /-machine$/u,
      "",
    );
    let statusBefore = await vm.execute("query-status");
    for (const step of entry.steps) {
      if ("execute" in step && step.execute === "migrate") statusBefore = await vm.execute("query-status");
      await runStep(vm, step);
    }
    const taken = await takeTruth(vm, statusBefore, entry.ranges);
    await look(vm);
    const stream = readFileSync(vm.file("stream"));
    // As the source left them: a shared memory file holds what x-ignore-shared leaves out of the stream.
    const left = Object.fromEntries(files.map(({ name }) => [name, readFileSync(vm.file(name))]));
    const capture: Capture = {
      name: entry.name,
      shows: entry.shows,
      qemu: qemu.banner,
      version: qemu.version,
      machine,
      command: [entry.program, ...commonArguments, ...entry.args],
      files,
      capabilities: entry.capabilities,
      parameters: entry.parameters,
      steps: entry.steps,
      stream: { length: stream.length, sha256: sha256Of(stream) },
    };
    return { capture, stream, left, truth: { ...taken, destination: null } };
  } finally {
    await vm.close();
  }
}

/** Captures an entry into `corpus/NAME`, and records the result of loading it in the same version. */
export async function makeCapture(entry: Entry, corpus: string): Promise<Made & { readonly packedBytes: number }> {
  const made = await takeCapture(entry);
  const qemu = findQemu(entry.qemu, entry.program)!;
  const truth: Truth = { ...made.truth, destination: await checkLoad(qemu, entry, made.stream, made.truth, made.left) };
  const small = packed(made.stream);
  const target = join(corpus, entry.name);
  mkdirSync(target, { recursive: true });
  writeFileSync(join(target, "stream.gz"), small);
  writeFileSync(join(target, "capture.json"), pretty(made.capture));
  writeFileSync(join(target, "truth.json"), pretty(truth));
  return { ...made, truth, packedBytes: small.length };
}

/** Makes one entry of the corpus: start, steps, truth, files. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { constants, gzipSync } from "node:zlib";
import { QevmError } from "../../src/errors.js";
import { checkLoad } from "../destination/check.js";
import { findQemu } from "../qemu/find.js";
import { commonArguments, makeWorkFolder, QemuProcess } from "../qemu/process.js";
import { type JsonObject, textOf } from "../qemu/qmp.js";
import type { Entry, Step } from "./entry.js";
import { runStep } from "./steps.js";
import { takeTruth, type Truth } from "./truth.js";

/** The content of capture.json. */
export interface Capture {
  readonly name: string;
  readonly shows: string;
  /** First line of `qemu-system-x86_64 --version`. */
  readonly qemu: string;
  readonly version: string;
  /** The machine type without "-machine", as the configuration section names it where there is one. */
  readonly machine: string;
  /** The exact command; `$DIR` is a working folder. */
  readonly command: readonly string[];
  /** Files that stood in `$DIR` before the start. */
  readonly files: readonly { readonly name: string; readonly length: number; readonly sha256: string }[];
  readonly capabilities: readonly string[];
  readonly parameters: JsonObject;
  readonly steps: readonly Step[];
  readonly stream: { readonly length: number; readonly sha256: string };
}

/** The result of {@link makeCapture}, for the line printed about it. */
export interface Made {
  readonly streamBytes: number;
  readonly packedBytes: number;
  readonly truth: Truth;
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const pretty = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;

/** Captures an entry into `corpus/NAME`. Rejects with QEMU's own text when anything in it fails. */
export async function makeCapture(entry: Entry, corpus: string): Promise<Made> {
  const qemu = findQemu(entry.qemu);
  if (qemu === undefined) throw new QevmError("unsupported", `no QEMU ${entry.qemu} here`);
  const folder = makeWorkFolder(qemu);
  const files = entry.files.map(({ name, content }) => {
    const bytes = content();
    writeFileSync(join(folder, name), bytes);
    return { name, length: bytes.length, sha256: sha256(bytes) };
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
    const taken = await takeTruth(vm, statusBefore);
    const stream = readFileSync(vm.file("stream"));
    // As the source left them: a shared memory file carries what x-ignore-shared keeps out of the stream.
    const left = Object.fromEntries(files.map(({ name }) => [name, readFileSync(vm.file(name))]));
    const truth: Truth = { ...taken, destination: await checkLoad(qemu, entry, stream, taken, left) };
    const capture: Capture = {
      name: entry.name,
      shows: entry.shows,
      qemu: qemu.banner,
      version: qemu.version,
      machine,
      command: ["qemu-system-x86_64", ...commonArguments, ...entry.args],
      files,
      capabilities: entry.capabilities,
      parameters: entry.parameters,
      steps: entry.steps,
      stream: { length: stream.length, sha256: sha256(stream) },
    };
    const packed = gzipSync(stream, { level: constants.Z_BEST_COMPRESSION });
    const target = join(corpus, entry.name);
    mkdirSync(target, { recursive: true });
    writeFileSync(join(target, "stream.gz"), packed);
    writeFileSync(join(target, "capture.json"), pretty(capture));
    writeFileSync(join(target, "truth.json"), pretty(truth));
    return { streamBytes: stream.length, packedBytes: packed.length, truth };
  } finally {
    await vm.close();
  }
}

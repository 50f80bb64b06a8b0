import { inspectStream } from "../analyse/inspect/inspect.js";
import { inspectDocument } from "../analyse/text/documents.js";
import { inspectLines } from "../analyse/text/inspect.js";
import { recordingLines } from "../analyse/text/recording.js";
import { containerName } from "../io/container/types.js";
import { isFolder } from "../io/container/is-folder.js";
import { aboutContainers, openFile } from "./document.js";
import { inputOptions, parse, refuseOffset, streamOptions, type Arguments } from "./arguments.js";
import { eachFile, named, type OneFile } from "./each-file.js";
import { printWarnings, soundness, withProgress } from "./output.js";

/** `qevm inspect FILE...`. */
export async function run(argv: string[]): Promise<number> {
  const args = parse("inspect", argv, [1, Infinity], "one or more FILEs");
  return await eachFile(args, async (file) =>
    isFolder(file) ? await recording(file, args) : await single(file, args),
  );
}

async function single(file: string, args: Arguments): Promise<OneFile> {
  const input = await openFile(file, inputOptions(args));
  const source = withProgress(input, "reading");
  try {
    const inspected = await inspectStream(source, await streamOptions(args));
    const { containers } = input;
    const inspection = { ...inspected, container: containerName(containers), containers };
    return {
      document: inspectDocument(inspection, containers),
      lines: inspectLines(named(file), inspection, containers),
      warn: () => printWarnings(inspection.warnings),
      status: soundness(inspection.warnings),
    };
  } finally {
    source.done();
    await source.close?.();
  }
}

/** A folder with the channels of a migration. */
async function recording(folder: string, args: Arguments): Promise<OneFile> {
  refuseOffset(args);
  aboutContainers([{ kind: "recording" }]);
  const { inspectRecording, openRecording } = await import("./recording.js");
  const options = await streamOptions(args);
  const inspection = await inspectRecording(openRecording(folder, options), options);
  return {
    document: inspectDocument(inspection),
    lines: recordingLines(folder, inspection),
    warn: () => printWarnings(inspection.warnings),
    status: soundness(inspection.warnings),
  };
}

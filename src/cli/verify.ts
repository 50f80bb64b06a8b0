import { QevmError } from "../bytes/errors.js";
import { verifyStream, type CheckOptions, type Verification } from "../analyse/inspect/verify.js";
import { isFolder } from "../io/container/is-folder.js";
import type { InputOptions } from "../io/container/types.js";
import type { ScratchMemory } from "../guest/files/scratch.js";
import type { PageStore } from "../guest/pages/page-store.js";
import { canReopen } from "../io/transport/file.js";
import { systemFolder } from "../io/transport/temporary.js";
import { aboutContainers, openFile } from "./document.js";
import { inputOptions, parse, refuseOffset, streamOptions, type Arguments } from "./arguments.js";
import { eachFile, named, type OneFile } from "./each-file.js";
import { verifyDocument } from "../analyse/text/documents.js";
import { opaqueLines } from "../analyse/text/opaque.js";
import { fileSize, grouped, printWarnings, safe, soundness, table, withProgress, wrapped } from "./output.js";

/** `qevm verify FILE...`. */
export async function run(argv: string[]): Promise<number> {
  const args = parse("verify", argv, [1, Infinity], "one or more FILEs");
  return await eachFile(
    args,
    async (file) => (isFolder(file) ? await verifyFolder(file, args) : await verifyFile(file, args)),
    (files, wrong, refused) =>
      `${grouped(files)} files: ${grouped(files - wrong - refused)} identical, ${grouped(wrong)} DIFFERENT or cut, ${grouped(refused)} refused`,
  );
}

async function verifyFile(file: string, args: Arguments): Promise<OneFile> {
  const options = await streamOptions(args);
  const verification = canReopen(file)
    ? await verified(file, { ...options, keepMemory: false }, inputOptions(args))
    : await inFiles((memory) => verified(file, { ...options, memory }, inputOptions(args)));
  return found(verification, report(named(file), verification));
}

function found(verification: Verification, lines: readonly string[]): OneFile {
  const { identical, inspection } = verification;
  return {
    document: verifyDocument(verification),
    lines,
    warn: () => printWarnings(inspection.warnings),
    // Bytes come back as they were from a damaged page, too: its content does not. Nor does what was cut off.
    status: identical && inspection.complete ? soundness(inspection.warnings) : 1,
  };
}

/** A folder with the channels of a migration. */
async function verifyFolder(folder: string, args: Arguments): Promise<OneFile> {
  refuseOffset(args);
  aboutContainers([{ kind: "recording" }]);
  const { openRecording, verifyRecording } = await import("./recording.js");
  const options = await streamOptions(args);
  const recording = openRecording(folder, options);
  const verification = await inFiles((memory) => verifyRecording(recording, { ...options, memory }));
  const files = verification.files.map(({ file, role, channelLength: bytes, identical, firstDifference }) => {
    const verdict = identical ? "identical" : `DIFFERENT from byte 0x${(firstDifference ?? 0).toString(16)}`;
    return [safe(file), role, fileSize(bytes), verdict];
  });
  return found(verification, [...report(folder, verification), ...table(files, [0, 1, 3])]);
}

/**
 * Guest memory is needed only for XBZRLE pages, which few streams have. To keep it costs more than to read most files,
 * so a file that has such a page is read a second time. A pipe cannot be.
 */
async function verified(file: string, options: CheckOptions, how: InputOptions): Promise<Verification> {
  const source = withProgress(await openFile(file, how), "verifying");
  try {
    return await verifyStream(source, options);
  } catch (error) {
    // The error of the first XBZRLE page.
    if (options.keepMemory !== false || !(error instanceof QevmError) || error.code !== "usage") throw error;
  } finally {
    source.done();
    await source.close?.();
  }
  return await inFiles((memory) => verified(file, { ...options, keepMemory: true, memory }, how));
}

/** Guest memory in temporary files, made when a page is kept: it may be larger than this machine's. */
async function inFiles<T>(verify: (memory: (pageSize: number) => PageStore) => Promise<T>): Promise<T> {
  const { ScratchMemory } = await import("../guest/files/scratch.js");
  let scratch: ScratchMemory | undefined;
  try {
    return await verify((pageSize) => (scratch ??= new ScratchMemory(systemFolder(), pageSize)).pages);
  } finally {
    scratch?.close();
  }
}

/** The text report. */
export function report(file: string, result: Verification): string[] {
  const lines: string[] = [];
  if (result.identical) {
    const { streamLength: bytes, opaqueBytes } = result;
    const again = `${fileSize(bytes - opaqueBytes)} encoded again from the decoded fields`;
    const parts =
      opaqueBytes === 0
        ? ["identical", again]
        : ["identical as far as it is decoded", again, `${fileSize(opaqueBytes)} not decoded and not checked`];
    lines.push(...wrapped(`${safe(file)}:`, parts));
  } else {
    const { firstDifference: at, inspection } = result;
    const place = at === null ? "" : `byte 0x${at.toString(16)}`;
    const ends = !result.complete && inspection.undecoded.at(-1)?.streamOffset === at;
    const parts = ends
      ? [`identical up to ${place}`, "nothing after it could be decoded"]
      : [`DIFFERENT${at === null ? "" : ` from ${place}`}`];
    lines.push(...wrapped(`${safe(file)}:`, parts));
  }
  const { recompressed, deltas: xbzrle } = result;
  if (recompressed.pageCount > 0) {
    lines.push(
      `compressed pages: ${grouped(recompressed.identicalCount)} of ${grouped(recompressed.pageCount)} identical when compressed again (level ${recompressed.levels.join(", ")})`,
    );
  }
  if (xbzrle.pageCount > 0)
    lines.push(
      `XBZRLE pages: ${grouped(xbzrle.identicalCount)} of ${grouped(xbzrle.pageCount)} identical when encoded again`,
    );
  const { uncertainBytes: uncertain = 0 } = result.inspection.catalogue ?? {};
  const but = uncertain === 0 ? "" : ` but ${fileSize(uncertain)}, uncertain`;
  lines.push(
    result.opaqueBytes === 0 ? `understood: every byte${but}` : `not understood: ${fileSize(result.opaqueBytes)}`,
  );
  lines.push(...opaqueLines(result.inspection.undecoded));
  if (result.namedBytes > 0)
    lines.push(`  of which ${fileSize(result.namedBytes)} in device-private fields kept by name`);
  if (result.staleBytes > 0) lines.push(`left over, never read: ${fileSize(result.staleBytes)}`);
  const { trailingBytes: trailing } = result.inspection;
  if (trailing > 0) lines.push(`after the stream: ${fileSize(trailing)}, not part of it`);
  const damaged = result.inspection.warnings.filter(({ replaced }) => replaced !== undefined).length;
  if (damaged > 0) lines.push(`DAMAGED: ${grouped(damaged)} ${damaged === 1 ? "page" : "pages"} (see the warnings)`);
  if (!result.complete) lines.push("the stream is NOT complete");
  return lines;
}

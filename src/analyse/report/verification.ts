import type { Recording } from "../../io/recording/index.js";
import { QevmError } from "../../bytes/errors.js";
import type { Inspection } from "../inspect/inspect.js";
import { verifyRecording } from "../inspect/recording.js";
import { verifySource, type CheckOptions, type Verification } from "../inspect/verify.js";
import { ScratchMemory } from "../../guest/files/scratch.js";
import type { ByteSource } from "../../bytes/source.js";
import type { StreamOptions } from "../../codec/stream/index.js";
import { systemFolder } from "../../io/transport/temporary.js";
import type { Progress, Verified } from "./types.js";

interface How {
  reading: StreamOptions;
  verify: boolean;
  progress: Progress;
}

/** Encodes everything again and compares. What is wrong in the stream is returned, not thrown. Errors: usage. */
export async function verifyInput(
  open: () => Promise<ByteSource>,
  inspection: Inspection,
  { reading, verify, progress }: How,
): Promise<Verified> {
  if (!verify) return { kind: "left out" };
  return await withMemory(inspection, async (kept) => {
    const opened = await open();
    const source = progress(opened, "verifying");
    try {
      return await verifySource(source, { ...reading, ...kept });
    } finally {
      source.done?.();
      await opened.close?.();
    }
  });
}

/** Every channel of a recording by itself. */
export async function verifyFolder(
  recording: Recording,
  inspection: Inspection,
  { reading, verify }: How,
): Promise<Verified> {
  if (!verify) return { kind: "left out" };
  return await withMemory(inspection, (kept) => verifyRecording(recording, { ...reading, ...kept }));
}

/** XBZRLE pages need guest memory, which is in a temporary folder until the end. */
async function withMemory(
  { ram, pageSize }: Inspection,
  verify: (kept: CheckOptions) => Promise<Verification>,
): Promise<Verified> {
  const memory = ram.pages.xbzrle > 0 ? new ScratchMemory(systemFolder(), pageSize) : undefined;
  try {
    return {
      kind: "done",
      result: await verify(memory === undefined ? { keepMemory: false } : { memory: memory.pages }),
    };
  } catch (error) {
    return refused(error);
  } finally {
    memory?.close();
  }
}

function refused(error: unknown): Verified {
  if (!(error instanceof QevmError) || error.code === "usage") throw error;
  return { kind: "refused", error };
}

/** Whether a page is damaged: the bytes may come back as they were, its content does not. */
export function hasDamagedPage(verified: Verified): boolean {
  return verified.kind === "done" && verified.result.inspection.warnings.some(({ replaced }) => replaced !== undefined);
}

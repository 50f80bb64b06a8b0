import { openContainers } from "../../io/container/open.js";
import { QevmError } from "../../bytes/errors.js";
import { verifyRecording } from "../inspect/recording.js";
import { verifyStream } from "../inspect/verify.js";
import { MemorySource } from "../../bytes/index.js";
import { recordingOf, unbundle, type BundledFile } from "./bundle.js";

/** What a decoder must never do. */
export type FindKind =
  /** An error that is not a `QevmError`. */
  | "untyped-error"
  /** A refusal without an address, or with one outside the input. */
  | "no-address"
  /** Bytes that were accepted as understood were encoded differently. */
  | "not-identical"
  /** A good stream decoded differently after the case. */
  | "spoilt"
  /** The case took longer than it may. */
  | "hang"
  /** The case took more memory than it may. */
  | "memory"
  /** The decoder's thread ended. */
  | "crash";

/** What became of one case in our own decoder. */
export interface DecodeOutcome {
  /** "accepted"; "opaque": accepted with bytes that are not understood; or the code of the refusal. */
  readonly outcome: string;
  /** The refusal in words, with its address. */
  readonly message?: string;
  /** Set where something is wrong with the decoder, not with the case. */
  readonly find?: FindKind;
}

/** Codes of refusals that need no address, such as that of a container that is not supported. */
const WITHOUT_ADDRESS: ReadonlySet<string> = new Set(["usage", "limit", "unsupported"]);

/** Opens, decodes, encodes again and compares, as `qevm verify` does, and looks for what must never happen. */
export async function decodeCase(bytes: Uint8Array, lenient: boolean): Promise<DecodeOutcome> {
  const files = unbundle(bytes);
  if (files !== undefined) return await decodeRecordingCase(files, lenient);
  let source: Awaited<ReturnType<typeof openContainers>> | undefined;
  try {
    source = await openContainers(new MemorySource(bytes));
    const plain = source.containers.length === 0;
    const result = await verifyStream(source, { lenient });
    // Lenient decoding skips bytes of a cut stream; what it decoded was still compared.
    if (plain && !result.identical && (result.complete || !lenient)) {
      return { outcome: "accepted", find: "not-identical", message: `differs from byte ${result.firstDifference}` };
    }
    return { outcome: result.inspection.undecoded.length > 0 ? "opaque" : "accepted" };
  } catch (error) {
    if (!(error instanceof QevmError)) return untyped(error);
    const inside = source === undefined || source.containers.length > 0;
    return {
      outcome: error.code,
      message: error.message,
      ...(addressed(error, bytes.length, inside) ? {} : { find: "no-address" as const }),
    };
  } finally {
    await source?.close?.();
  }
}

/** The same for the files of a recording. */
async function decodeRecordingCase(files: readonly BundledFile[], lenient: boolean): Promise<DecodeOutcome> {
  let main = false;
  try {
    const recording = recordingOf(files);
    main = true;
    const result = await verifyRecording(recording, { lenient });
    // Lenient: a channel that is cut is compared up to there.
    if (!result.identical && !lenient) {
      return { outcome: "accepted", find: "not-identical", message: `differs from byte ${result.firstDifference}` };
    }
    return { outcome: result.inspection.undecoded.length > 0 ? "opaque" : "accepted" };
  } catch (error) {
    if (!(error instanceof QevmError)) return untyped(error);
    const longest = Math.max(...files.map((file) => file.bytes.length));
    // Without a main channel there is no place to name.
    const fine = !main || addressed(error, longest, false);
    return { outcome: error.code, message: error.message, ...(fine ? {} : { find: "no-address" as const }) };
  }
}

function untyped(error: unknown): DecodeOutcome {
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { outcome: "untyped", message, find: "untyped-error" };
}

/** Whether the address of a refusal makes sense. Offsets inside a compressed container count in its content. */
function addressed(error: QevmError, length: number, inside: boolean): boolean {
  if (error.offset === undefined) return WITHOUT_ADDRESS.has(error.code);
  return error.offset >= 0 && (inside || error.offset <= length);
}

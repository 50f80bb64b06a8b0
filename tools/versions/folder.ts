/**
 * Checks a folder with the channels of a migration: verified, merged, and loaded as the plain stream that qevm makes of
 * it.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openInput, openRecording } from "../../src/io/container/index.js";
import { convertToFile } from "../../src/rewrite/convert/convert-file.js";
import { QevmError } from "../../src/bytes/errors.js";
import { type RecordingInspection, verifyRecording } from "../../src/analyse/inspect/recording.js";
import type { VmDescription } from "../../src/codec/vmstate/index.js";
import type { Truth } from "../capture/truth.js";
import { blockHashes, compare } from "../destination/compare.js";
import { startDestination } from "../destination/destination.js";
import type { QemuBinary } from "../qemu/find.js";
import { differing, hashesOf, judge, type Once } from "./judge.js";

/** The requirements of a row for its recording. */
export interface RecordedFeature {
  readonly name: string;
  /** Arguments and files of the machine. */
  readonly args: readonly string[];
  readonly files: Readonly<Record<string, Uint8Array>>;
  /** Whether the recording contains the feature. */
  readonly holds: (found: RecordingInspection) => boolean;
}

/** What is known besides the folder. */
export interface Known {
  readonly qemu: QemuBinary;
  readonly truth: Omit<Truth, "destination">;
  /** Used where the stream does not describe its device state. */
  readonly schema?: readonly VmDescription[];
  /** The guest of the truth ran on, so its registers are not those of the stream. */
  readonly ranOn?: boolean;
}

/** Calls `use` with a temporary folder. */
export async function withFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const beside = mkdtempSync(join(tmpdir(), "qevm-matrix-"));
  try {
    const folder = join(beside, "recording");
    mkdirSync(folder);
    return await use(folder);
  } finally {
    rmSync(beside, { recursive: true, force: true });
  }
}

/** Checks a folder; the plain stream is written beside it. */
export async function judgeFolder(folder: string, feature: RecordedFeature, known: Known): Promise<Once> {
  const { qemu, truth, ranOn = false } = known;
  const options = known.schema === undefined ? {} : { schema: known.schema };
  const verified = await verifyRecording(openRecording(folder), options);
  if (!feature.holds(verified.inspection)) {
    throw new QevmError("bad-value", `the recording holds nothing of "${feature.name}"`);
  }
  const read = await hashesOf(await openInput(folder));
  const stream = `${folder}.plain`;
  await convertToFile(await openInput(folder), stream, { flatten: true, ...options });
  const { args, files } = feature;
  const { vm, result } = await startDestination({ qemu, args, files, stream });
  try {
    const found = result.loaded ? await compare(vm, truth) : undefined;
    const held = result.loaded ? await blockHashes(vm) : new Map<string, string>();
    return judge({
      ...verified,
      wrong: differing(truth, read, {}),
      read,
      held,
      found: found === undefined || !ranOn ? found : { ...found, registersEqual: null },
      error: result.error,
    });
  } finally {
    await vm.close();
  }
}

/** The corpus' recordings of postcopy, and what is held against them. */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Test } from "tape";
import { openRecording } from "../../src/io/container/index.js";
import { type RecordingVerification } from "../../src/analyse/inspect/recording.js";
import { extractBlocks } from "../../src/guest/files/extract-blocks.js";
import { MemorySource } from "../../src/bytes/index.js";
import { mergedSource, type Recording as Channels } from "../../src/io/recording/index.js";
import { descriptionOf } from "../../src/codec/stream/index.js";
import { type VmDescription } from "../../src/codec/vmstate/index.js";
import { corpusEntry } from "../../tools/corpus.js";
import { recordingNamed, unpackRecording } from "../../tools/recording/corpus.js";

/** Which capture's description fits which recording. */
export const LENDERS: Readonly<Record<string, string>> = {
  "postcopy-7.2": "live",
  "postcopy-7.2-preempt": "live",
  "postcopy-7.2-dirty": "compress-0",
  "postcopy-7.2-recovered": "live",
  "postcopy-10.0-preempt": "v10.0-live",
  "postcopy-11.1": "v11.1-live",
};

export async function schemaOf(name: string): Promise<VmDescription[]> {
  return [await descriptionOf(new MemorySource(corpusEntry(LENDERS[name]!).open()))];
}

/** A recording of the corpus as a folder, for as long as `use` takes. */
export async function opened(name: string, use: (channels: Channels, beside: string) => Promise<void>): Promise<void> {
  const beside = mkdtempSync(join(tmpdir(), "qevm-postcopy-"));
  try {
    unpackRecording(recordingNamed(name), join(beside, "rec"));
    await use(openRecording(join(beside, "rec")), beside);
  } finally {
    rmSync(beside, { recursive: true, force: true });
  }
}

export async function memoryIs(
  t: Test,
  channels: Channels,
  beside: string,
  blocks: readonly { name: string; sha256: string | null }[],
): Promise<void> {
  const found = await extractBlocks(mergedSource(channels), join(beside, "blocks"));
  t.ok(found.complete, "complete");
  for (const { block: name, file } of found.blocks) {
    const expected = blocks.find((one) => one.name === name)?.sha256;
    if (expected === null) continue;
    const sha256 = createHash("sha256").update(readFileSync(join(beside, "blocks", file)));
    t.equal(sha256.digest("hex"), expected, `${name}: the destination's`);
  }
}

export function understood(t: Test, result: RecordingVerification): void {
  t.ok(result.identical && result.complete, "every channel is written again from its fields");
  t.equal(result.opaqueBytes, 0, "every byte is understood");
}

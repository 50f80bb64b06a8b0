import { QevmError } from "../../bytes/errors.js";
import { isPostcopy, mergedSource, type Recording } from "../recording/index.js";
import type { RecordingOptions } from "./recorded-files.js";
import type { Container, Input, InputOptions } from "./types.js";

/** How the recording of an input is opened. Errors: usage. */
export function recordingOptions({ snapshot, offset, incomplete, stream }: InputOptions): RecordingOptions {
  if (snapshot !== undefined) throw new QevmError("usage", "--snapshot is for qcow2 images");
  if (offset !== undefined) throw new QevmError("usage", "--stream-offset is for files, not for recordings");
  return { lenient: stream?.lenient === true || incomplete, limits: stream?.limits };
}

/** A recording as one stream. */
export async function merged(recording: Recording, { stream, incomplete = false }: InputOptions): Promise<Input> {
  const { main, multifd, preempt, returnPath, resumed = [] } = recording;
  const channels = [main, ...multifd, ...preempt, ...returnPath, ...resumed];
  const postcopy = await isPostcopy(recording);
  const container: Container = { kind: "recording", files: channels.map(({ name }) => name), postcopy };
  return Object.assign(mergedSource(recording, { ...stream, lenient: stream?.lenient === true || incomplete }), {
    containers: [container],
    recording,
  });
}

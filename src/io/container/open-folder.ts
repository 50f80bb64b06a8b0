import { QevmError } from "../../bytes/errors.js";
import { mergedSource } from "../recording/index.js";
import { isPostcopy, openRecording } from "./recording.js";
import type { Container, Input, InputOptions } from "./types.js";

/** Opens a recording with its channels merged. */
export async function openFolder(path: string, options: InputOptions): Promise<Input> {
  if (options.snapshot !== undefined) throw new QevmError("usage", "--snapshot is for qcow2 images");
  if (options.offset !== undefined) throw new QevmError("usage", "--stream-offset is for files, not for recordings");
  const lenient = options.stream?.lenient === true || options.incomplete;
  const recording = openRecording(path, { lenient, limits: options.stream?.limits });
  const channels = [
    recording.main,
    ...recording.multifd,
    ...recording.preempt,
    ...recording.returnPath,
    ...(recording.resumed ?? []),
  ];
  const postcopy = await isPostcopy(recording);
  const container: Container = { kind: "recording", files: channels.map(({ name }) => name), postcopy };
  return Object.assign(mergedSource(recording, options.stream), { containers: [container] });
}

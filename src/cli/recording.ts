/** What the commands that read folders too load when they are given one. */
export { openRecording } from "../container/recording.js";
export { inspectRecording, verifyRecording } from "../inspect/recording.js";

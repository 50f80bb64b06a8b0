/** What the commands that read folders too load when they are given one. */
export { openRecording } from "../io/container/recording.js";
export { inspectRecording, verifyRecording } from "../analyse/inspect/recording.js";

/** Loaded by the commands that also read folders, when they are given one. */
export { openRecording } from "../io/container/recording.js";
export { inspectRecording, verifyRecording } from "../analyse/inspect/recording.js";

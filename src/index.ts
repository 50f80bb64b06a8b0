export { Diagnostics, QevmError, type ErrorCode, type ErrorPlace, type Warning } from "./errors.js";
export * from "./qemu-file/index.js";

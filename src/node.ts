/**
 * `qevm/node`: what needs files, sockets or threads.
 *
 * Containers and files; guest memory; the save and load path with compress threads; conversion, generation, sending; fuzzing.
 */
export { openContainers, openInput, type Container, type Input } from "./container/index.js";
export { convertStream } from "./convert/convert.js";
export { convertToFile } from "./convert/convert-file.js";
export type { ConvertOptions, ConvertReport, RamTarget } from "./convert/types.js";
export * from "./diff/index.js";
export * from "./engine/index.js";
export { kindsNamed, KINDS, makeCase, type CaseOptions, type FuzzCase } from "./fuzz/cases.js";
export { decodeCase, type DecodeOutcome } from "./fuzz/decode-case.js";
export { minimise, type Judge, type Minimised, type MinimiseOptions } from "./fuzz/minimise.js";
export { takeApart, type Part, type Parts } from "./fuzz/parts.js";
export { tryQemu, type QemuCaseOptions, type QemuOutcome } from "./fuzz/qemu-case.js";
export { runDecode, type DecodeRun, type DecodeRunOptions } from "./fuzz/run-decode.js";
export { generateNone, type NoneOptions } from "./generate/none.js";
export { generateFromTemplate, type TemplateOptions } from "./generate/template.js";
export * from "./load/index.js";
export { extractBlocks, type ExtractedBlocks, type ExtractOptions } from "./memory/extract-blocks.js";
export { extractPhysical, type ExtractedPhysical, type PhysicalOptions } from "./memory/extract-physical.js";
export { MemoryPages, type PageStore } from "./memory/page-store.js";
export { packFolder, type PackReport } from "./pack/pack.js";
export { unpackStream } from "./pack/unpack.js";
export * from "./relay/index.js";
export { reportStream, type ReportOptions, type StreamReport } from "./report/index.js";
export * from "./save/index.js";
export { openDestination, type Destination } from "./transport/destination-uri.js";
export { AtomicFile, FileSource, openSource } from "./transport/file.js";
export { QmpClient } from "./transport/qmp.js";
export { sendStream, type SendOptions } from "./transport/send.js";

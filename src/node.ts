/**
 * `qevm/node`: what needs files, sockets or threads.
 *
 * Containers and files; guest memory; the save and load path with compress threads; conversion, generation, sending; fuzzing.
 */
export { openContainers, openInput, type Container, type Input } from "./io/container/index.js";
export { convertStream } from "./rewrite/convert/convert.js";
export { convertToFile } from "./rewrite/convert/convert-file.js";
export type { ConvertOptions, ConvertReport, RamTarget } from "./rewrite/convert/types.js";
export * from "./analyse/diff/index.js";
export * from "./engine/index.js";
export { kindsNamed, KINDS, makeCase, type CaseOptions, type FuzzCase } from "./analyse/fuzz/cases.js";
export { decodeCase, type DecodeOutcome } from "./analyse/fuzz/decode-case.js";
export { minimise, type Judge, type Minimised, type MinimiseOptions } from "./analyse/fuzz/minimise.js";
export { takeApart, type Part, type Parts } from "./analyse/fuzz/parts.js";
export { tryQemu, type QemuCaseOptions, type QemuOutcome } from "./analyse/fuzz/qemu-case.js";
export { runDecode, type DecodeRun, type DecodeRunOptions } from "./analyse/fuzz/run-decode.js";
export { generateNone, type NoneOptions } from "./rewrite/generate/none.js";
export { generateFromTemplate, type TemplateOptions } from "./rewrite/generate/template.js";
export * from "./rewrite/load/index.js";
export { extractBlocks, type ExtractedBlocks, type ExtractOptions } from "./guest/files/extract-blocks.js";
export { extractPhysical, type ExtractedPhysical, type PhysicalOptions } from "./guest/files/extract-physical.js";
export { MemoryPages, type PageStore } from "./guest/pages/page-store.js";
export { packFolder, type PackReport } from "./rewrite/pack/pack.js";
export { unpackStream } from "./rewrite/pack/unpack.js";
export * from "./live/relay/index.js";
export { reportStream, type ReportOptions, type StreamReport } from "./analyse/report/index.js";
export * from "./rewrite/save/index.js";
export { openDestination, type Destination } from "./io/transport/destination-uri.js";
export { AtomicFile, FileSource, openSource } from "./io/transport/file.js";
export { QmpClient } from "./io/transport/qmp.js";
export { sendStream, type SendOptions } from "./io/transport/send.js";

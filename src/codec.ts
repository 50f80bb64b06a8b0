/**
 * `qevm/codec`: the codecs one by one, for who takes streams apart or makes them structure by structure: the reader and writer
 * over any source, the "ram" section with XBZRLE and mapped-ram, multifd packets, other sections, device state, and the
 * stream around them. Nothing here needs Node.
 */
export * from "./bytes/index.js";
export * from "./codec/ram/index.js";
export { decodeXbzrle, encodeXbzrle } from "./codec/ram/xbzrle.js";
export * from "./codec/multifd/index.js";
export * from "./codec/sections/index.js";
export * from "./codec/stream/index.js";
export * from "./codec/vmstate/index.js";

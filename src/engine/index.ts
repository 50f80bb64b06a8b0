export { createDeflater, createInflater, hasFastEngine, type CreateOptions } from "./create.js";
export { ExactDeflater, ExactInflater } from "./exact.js";
export { FastDeflater, FastInflater } from "./fast.js";
export {
  DEFAULT_LEVEL,
  DEFAULT_PAGE_SIZE,
  ENGINE_KINDS,
  payloadBound,
  payloadRoom,
  WORD,
  RECORD_HEADER,
  type DeflateBatch,
  type EngineKind,
  type EngineOptions,
  type InflateBatch,
  type PageDeflater,
  type PageInflater,
} from "./page-engine.js";
export { loadPageModule } from "./page-module.js";
export { isZeroPage } from "./zero.js";

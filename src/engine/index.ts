export { createDeflater, createInflater, hasFastEngine, type CreateOptions } from "./create.js";
export { ExactDeflater } from "./exact.js";
export {
  payloadBound,
  type DeflateBatch,
  type EngineKind,
  type EngineOptions,
  type InflateBatch,
  type PageDeflater,
  type PageInflater,
} from "./page-engine.js";
export { isZeroPage } from "./zero.js";

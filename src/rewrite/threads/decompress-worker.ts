import { workerData } from "node:worker_threads";
import { serve, type WorkerStart } from "../../io/threads/index.js";
import { DecompressWork, type DecompressSetup } from "./decompress-work.js";

/** The module that a decompress thread runs. */
const { ring, data } = workerData as WorkerStart<DecompressSetup>;
serve(ring, await DecompressWork.create(data));

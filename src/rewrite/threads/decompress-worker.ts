import { workerData } from "node:worker_threads";
import { serve, type WorkerStart } from "../../io/threads/index.js";
import { DecompressWork, type DecompressSetup } from "./decompress-work.js";

/** The entry module of a decompress thread. */
const { ring, data } = workerData as WorkerStart<DecompressSetup>;
await serve(ring, await DecompressWork.create(data));

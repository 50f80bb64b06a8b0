import { workerData } from "node:worker_threads";
import { serve, type WorkerStart } from "../../io/threads/index.js";
import { CompressWork, type CompressSetup } from "./compress-work.js";

/** The entry module of a compress thread. */
const { ring, data } = workerData as WorkerStart<CompressSetup>;
await serve(ring, await CompressWork.create(data));

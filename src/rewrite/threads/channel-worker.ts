import { workerData } from "node:worker_threads";
import { serve, type WorkerStart } from "../../io/threads/index.js";
import { ChannelWork, type ChannelSetup } from "./channel-work.js";

/** The entry module of a thread that makes the payloads of multifd channels. */
const { ring, data } = workerData as WorkerStart<ChannelSetup>;
await serve(ring, await ChannelWork.create(data, ring.shape.capacity));

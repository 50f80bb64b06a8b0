import { workerData } from "node:worker_threads";
import { serve, type WorkerStart } from "../../io/threads/index.js";
import { PacketWork, type PacketSetup } from "./packet-work.js";

/** The entry module of a thread that decodes the packets of multifd channels. */
const { ring, data } = workerData as WorkerStart<PacketSetup>;
await serve(ring, new PacketWork(data, ring.shape.capacity));

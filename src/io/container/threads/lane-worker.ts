import { workerData } from "node:worker_threads";
import { serve, type WorkerStart } from "../../threads/index.js";
import { lanePieces } from "./lane-pieces.js";
import type { LaneStart } from "./lane-start.js";
import { LaneWork } from "./pieces.js";

/** The module of a thread that decompresses. */
const { ring, data } = workerData as WorkerStart<LaneStart>;
void serve(ring, new LaneWork(lanePieces(data)));

// The decoder of zstd by itself: compiled once more, to unzstd-shared.wasm, whose memory two threads share.
export { UNZSTD_JOB, UNZSTD_WORK } from "./unzstd-memory";
export { unzstdBegin, unzstdInit, unzstdLength, unzstdRead } from "./unzstd";
export { unzstdWrite } from "./unzstd-execute";
export { hashEnd } from "./xxh64";

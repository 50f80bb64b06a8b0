import test from "tape";
import type { SaveOptions } from "../src/rewrite/save/index.js";
import { arrivesWhole } from "./support/live-save.js";

/** Every variant of the series with every other: threads, waiting, level, XBZRLE, engine. */
const GRID: SaveOptions[] = [];
for (const compressThreads of [1, 2, 8]) {
  for (const compressWaitThread of [true, false]) {
    for (const compressLevel of [1, 9]) {
      for (const xbzrle of [false, true]) {
        for (const engine of ["exact", "fast"] as const) {
          GRID.push({ compressThreads, compressWaitThread, compressLevel, xbzrle, engine });
        }
      }
    }
  }
}

for (const options of GRID) {
  const { compressThreads, compressWaitThread, compressLevel, xbzrle, engine } = options;
  const name = `${compressThreads} threads, ${compressWaitThread === true ? "waits" : "does not wait"}, level ${compressLevel}, ${xbzrle === true ? "xbzrle, " : ""}${engine}`;
  // Two writers write as much as the eight of chapter 40; each thread costs 0.1 s to start.
  test(name, (t) => arrivesWhole(t, { ...options, maxBandwidth: 32e6 }, 2, 600));
}

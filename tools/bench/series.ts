/**
 * `bench -- series`: what the patch series of 2018 did, the old way against the new one: the same memory, workload and threads, and each part's
 * own share. The figure is wire bandwidth: bytes of compressed pages a second, as `mbps` of query-migrate counts.
 *
 * The workload is a dirty round over many small blocks: 256 blocks of 64 pages, of which every third page is dirty, so that a block is entered every 21
 * pages. Old: on entering a block the threads are flushed and the migration thread compresses the first page itself; every page takes a new
 * deflate state; one page goes over at a time. New: nothing of that, and batches.
 *
 * - `bandwidth`: all of it against nothing of it.
 * - each other row: the old way with that part alone against the old way.
 */
import { cpuUsage } from "node:process";
import { ThreadPool } from "../../src/threads/index.js";
import { fillMemory } from "../guest/fill-memory.js";
import { pairs, row, type BenchOptions, type BenchRow, type Side } from "./pair.js";
import { pageCompressor, type SeriesSetup } from "./series-old/worker.js";

const PAGE = 4096;
const BLOCK_PAGES = 64;
const BLOCKS = 256;
const THREADS = 2;

interface Way {
  /** Nothing is compressed or flushed by the migration thread when it enters another block. */
  dispatchOnly: boolean;
  keptState: boolean;
  ownBuffer: boolean;
  /** Pages a hand-over. */
  batch: number;
}

const OLD: Way = { dispatchOnly: false, keptState: false, ownBuffer: false, batch: 1 };

const ROWS: readonly (readonly [string, Partial<Way>])[] = [
  ["bandwidth", { dispatchOnly: true, keptState: true, ownBuffer: true, batch: 64 }],
  ["stop compressing in the migration thread", { dispatchOnly: true }],
  ["one state a thread", { keptState: true }],
  ["an internal buffer a thread", { ownBuffer: true }],
  ["the series without batches", { dispatchOnly: true, keptState: true, ownBuffer: true }],
  ["batches", { batch: 64 }],
];

/** Milliseconds a measurement takes at least. */
const LEAST = 1500;

/** One way as a side: megabits a second on the wire. `shares` takes the migration thread's part of the CPU time. */
function side(memory: SharedArrayBuffer, way: Way, shares: number[]): Side {
  return {
    async measure() {
      const setup: SeriesSetup = { memory, pageSize: PAGE, keptState: way.keptState, ownBuffer: way.ownBuffer };
      const pool = await ThreadPool.start({
        threads: THREADS,
        shape: { slots: way.batch === 1 ? 2 : 8, capacity: way.batch, input: 64, output: way.batch * (PAGE + 64) },
        script: new URL("series-old/worker.js", import.meta.url),
        data: setup,
      });
      const inline = await pageCompressor(setup);
      const before = cpuUsage();
      const start = performance.now();
      let bytes = 0;
      let own = 0;
      const retire = (): void => {
        const slot = pool.take();
        bytes += slot.length + 12 * slot.count;
        pool.release(slot);
      };
      const drain = (): void => {
        while (pool.pending > 0) retire();
      };
      while (performance.now() - start < LEAST) {
        for (let block = 0; block < BLOCKS; block++) {
          let slot = undefined;
          for (let page = 0; page < BLOCK_PAGES; page += 3) {
            const offset = (block * BLOCK_PAGES + page) * PAGE;
            if (page === 0 && !way.dispatchOnly) {
              drain();
              const began = performance.now();
              bytes += inline(offset).length + 12;
              own += performance.now() - began;
              continue;
            }
            if (slot === undefined) {
              if (pool.open() === undefined) retire();
              slot = pool.open()!;
              slot.count = 0;
            }
            slot.setWord(slot.count++, offset, 0);
            if (slot.count < way.batch) continue;
            pool.publish(slot);
            slot = undefined;
          }
          if (slot !== undefined && slot.count > 0) pool.publish(slot);
        }
        drain();
      }
      const time = performance.now() - start;
      const { user, system } = cpuUsage(before);
      shares.push((100 * own) / time, (user + system) / 10 / time);
      await pool.close();
      return (bytes * 8) / (time * 1000);
    },
  };
}

/** The rows named behind WHAT, or all. */
export async function rows({ runs = 7, arguments: wanted }: BenchOptions): Promise<BenchRow[]> {
  const memory = new SharedArrayBuffer(BLOCKS * BLOCK_PAGES * PAGE);
  fillMemory(new Uint8Array(memory), 7);
  const done: BenchRow[] = [];
  for (const [name, parts] of ROWS) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    const [ours, theirs]: [number[], number[]] = [[], []];
    const measured = await pairs(side(memory, { ...OLD, ...parts }, ours), side(memory, OLD, theirs), runs);
    const note = `${measured.a.toFixed(0)} to ${measured.b.toFixed(0)} Mbit/s; CPU ${cpu(ours)} to ${cpu(theirs)}`;
    done.push(row(name, "the old way", measured, note));
  }
  return done;
}

/** CPU of the process in percent of one core, and the migration thread's time spent compressing, in percent of the time. */
function cpu(shares: readonly number[]): string {
  const mean = (first: number): string => {
    const figures = shares.filter((_, i) => i % 2 === first);
    return (figures.reduce((sum, figure) => sum + figure, 0) / figures.length).toFixed(0);
  };
  return `${mean(1)} % (migration thread compressing ${mean(0)} % of the time)`;
}

/**
 * `bench -- series`: the effect of the 2018 patch series, old against new. Each side is a whole save of the same memory
 * by `RamSave` with two compress threads over the same limited link (`max-bandwidth` of 10 Gbit/s). The figure is
 * `mbps`, as in query-migrate.
 *
 * The workload is a dirty round over many small blocks: blocks of 64 pages, of which every third page is dirty, so that
 * a block is entered every 21 pages. Old: on entering a block the threads are flushed and the migration thread
 * compresses the first page itself. Every page takes a new deflate state, no copy is made, and each thread has one page
 * at a time, as in QEMU. New: none of that, batches, and a migration thread that helps while it waits. The compressor
 * is node:zlib in both, except in the last row.
 *
 * - `bandwidth`: all parts against none.
 * - each other row: the old way plus the named parts, against the old way.
 */
import { cpuUsage } from "node:process";
import { QemuFileWriter, type ByteSink } from "../../src/bytes/index.js";
import { RamSave, type GuestBlock } from "../../src/rewrite/save/index.js";
import { pairs, row, type BenchOptions, type BenchRow, type Side } from "./pair.js";
import { pageCompressor } from "./series-old/compressor.js";
import { everyThird, smallBlocks } from "./series-old/memory.js";
import { oldStrategy, spent } from "./series-old/strategy.js";
import { OLD, type Way } from "./series-old/ways.js";

const THREADS = 2;
/** Bytes per second: 10 Gbit/s. */
const LINK = 1.25e9;
const BLOCKS = 2048;

const SERIES: Partial<Way> = { dispatchOnly: true, keptState: true, ownBuffer: true };

const ROWS: readonly (readonly [string, Partial<Way>])[] = [
  ["bandwidth", { ...SERIES, batch: 64, slots: undefined, help: true }],
  ["stop compressing in the migration thread", { dispatchOnly: true }],
  ["one state a thread", { keptState: true }],
  ["an internal buffer a thread", { ownBuffer: true }],
  ["the series as it was", SERIES],
  ["batches", { batch: 64, slots: undefined }],
  ["the migration thread helps", { help: true }],
  ["all of it, with the page engine", { ...SERIES, batch: 64, slots: undefined, help: true, pageEngine: true }],
];

/** Further shares of a round, in percent of the time. */
interface Shares {
  cpu: number[];
  inline: number[];
}

/** One configuration as a side: megabits per second on the wire. */
function side(blocks: readonly GuestBlock[], way: Way, shares: Shares): Side {
  return {
    async measure() {
      const inline = await pageCompressor(4096, way);
      const ours = new URL("../../src/rewrite/threads/compress-worker.js", import.meta.url);
      const parts = [...(way.keptState ? ["state"] : []), ...(way.ownBuffer ? ["buffer"] : [])].join("&");
      const old = new URL(`series-old/worker.js?${parts}`, import.meta.url);
      spent.inline = 0;
      const before = cpuUsage();
      const start = performance.now();
      const { ram } = await RamSave.run(new QemuFileWriter(new Nowhere()), blocks, {
        compressThreads: THREADS,
        engine: way.pageEngine ? "page" : "fast",
        maxBandwidth: LINK,
        hook: everyThird,
        strategy: way.dispatchOnly ? undefined : oldStrategy(inline),
        threads: { batch: way.batch, help: way.help, slots: way.slots, script: way.pageEngine ? ours : old },
      });
      const time = performance.now() - start;
      const { user, system } = cpuUsage(before);
      shares.cpu.push((user + system) / 10 / time);
      shares.inline.push((100 * spent.inline) / time);
      return ram.mbps;
    },
  };
}

class Nowhere implements ByteSink {
  write(): void {
    // Without a delay: the rate limit is the link.
  }
}

/** The requested rows, or all. */
export async function rows({ runs = 7, arguments: wanted }: BenchOptions): Promise<BenchRow[]> {
  const blocks = smallBlocks(BLOCKS);
  const done: BenchRow[] = [];
  for (const [name, parts] of ROWS) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    const ours: Shares = { cpu: [], inline: [] };
    const theirs: Shares = { cpu: [], inline: [] };
    const measured = await pairs(side(blocks, { ...OLD, ...parts }, ours), side(blocks, OLD, theirs), runs);
    const note = `${measured.a.toFixed(0)} to ${measured.b.toFixed(0)} Mbit/s; CPU ${cpu(ours)} to ${cpu(theirs)}`;
    done.push(row(name, "the old way", measured, note));
  }
  return done;
}

/**
 * CPU time of the process in percent of one core, and the migration thread's compression time in percent of the time.
 */
function cpu({ cpu: whole, inline }: Shares): string {
  return `${mean(whole)} % (migration thread compressing ${mean(inline)} % of the time)`;
}

function mean(figures: readonly number[]): string {
  return (figures.reduce((sum, figure) => sum + figure, 0) / figures.length).toFixed(0);
}

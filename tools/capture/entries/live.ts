/** RAM encodings: plain, compressed and XBZRLE pages, of stopped guests and of a guest that keeps writing. */
import { entry, type Entry, type Recipe } from "../entry.js";
import { booting, direct, dirtyDisk, dirtyFirmware, fillDisk, fillFirmware, mebi } from "./parts.js";

const kibi = 1 << 10;

/** Compressed pages are small: a slower link gives each round several windows of 100 ms. */
const slow = { "max-bandwidth": 256 * kibi };

const stopped = (name: string, shows: string, recipe: Partial<Recipe>): Recipe => ({
  name,
  shows,
  args: direct("pc"),
  files: [fillFirmware],
  until: "guest",
  ...recipe,
});

/** Firmware, whose code and tables compress like real programs. */
const seabios: Partial<Recipe> = { args: booting("pc"), files: [fillDisk] };

const live = (name: string, shows: string, recipe: Partial<Recipe>): Recipe => ({
  name,
  shows,
  args: direct("pc"),
  files: [dirtyFirmware],
  until: "guest",
  rounds: 5,
  ...recipe,
});

const compress = (level: number, threads: number, wait = true): Partial<Recipe> => ({
  capabilities: ["compress"],
  parameters: { "compress-level": level, "compress-threads": threads, "compress-wait-thread": wait },
});

/** Adds parameters to a part of a recipe. */
const and = (recipe: Partial<Recipe>, parameters: Recipe["parameters"]): Partial<Recipe> => ({
  ...recipe,
  parameters: { ...recipe.parameters, ...parameters },
});

const recipes: readonly Recipe[] = [
  live("live", "guest that keeps writing, 5 rounds; pages repeat, some turn to zero after data", {}),
  live("live-seabios", "the same with SeaBIOS, 3 rounds", { args: booting("pc"), files: [dirtyDisk], rounds: 3 }),
  live("live-q35", "the same on q35 with two CPUs, 3 rounds", {
    args: [...direct("q35"), "-smp", "2"],
    rounds: 3,
  }),
  stopped("compress-0", "compress at level 0: stored deflate blocks", compress(0, 2)),
  stopped("compress-1-threads-1", "compress, level 1, 1 thread, SeaBIOS", { ...compress(1, 1), ...seabios }),
  stopped("compress-1-threads-8", "compress, level 1, 8 threads: pages of one block in another order", compress(1, 8)),
  stopped("compress-6", "compress, level 6, 2 threads, SeaBIOS", { ...compress(6, 2), ...seabios }),
  stopped("compress-9-threads-1", "compress, level 9, 1 thread", compress(9, 1)),
  stopped("compress-9-threads-8", "compress, level 9, 8 threads, SeaBIOS", { ...compress(9, 8), ...seabios }),
  stopped(
    "compress-nowait-1",
    "compress-wait-thread off, level 9, 1 thread: most pages raw",
    and({ ...compress(9, 1, false), ...seabios }, slow),
  ),
  stopped("compress-nowait-8", "compress-wait-thread off, level 1, 8 threads", compress(1, 8, false)),
  live("compress-live", "compress, level 1, 8 threads, live", and(compress(1, 8), slow)),
  live("compress-live-9", "compress, level 9, 1 thread, live", and(compress(9, 1), slow)),
  live("compress-live-nowait", "compress-wait-thread off, level 9, 8 threads, live", and(compress(9, 8, false), slow)),
  live("xbzrle", "xbzrle with a cache larger than memory, live", {
    capabilities: ["xbzrle"],
    parameters: { "xbzrle-cache-size": 64 * mebi },
    rounds: 6,
  }),
  live("xbzrle-small-cache", "xbzrle with a cache of 64 pages: pages fall out and come back", {
    capabilities: ["xbzrle"],
    parameters: { "xbzrle-cache-size": 256 * kibi },
    rounds: 6,
  }),
  live("xbzrle-compress", "xbzrle and compress together: compressed first round, deltas later", {
    capabilities: ["xbzrle", "compress"],
    parameters: { ...slow, "compress-level": 1, "compress-threads": 2, "xbzrle-cache-size": 64 * mebi },
  }),
];

/** Entries of this list. */
export const liveEntries: readonly Entry[] = recipes.map(entry);

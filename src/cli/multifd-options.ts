import { releaseNumber } from "../guest/machines/index.js";
import type { WrittenMethod } from "../codec/multifd/index.js";
import { UsageError, type Arguments } from "./arguments.js";

/** How multifd channels are written. */
interface MultifdOptions {
  method: WrittenMethod;
  level: number | undefined;
  release: number | undefined;
  channels: number;
}

/** The options `--multifd`, `--level`, `--qemu` and `--channels`. Errors: usage. */
export function multifdOptions(args: Arguments): MultifdOptions {
  const method = methodOf(args.text("multifd"));
  const level = args.number("level", method === "zstd" ? { min: 1, max: 20 } : { min: 0, max: 9 });
  if (level !== undefined && method === "none") throw new UsageError("--level goes with --multifd zlib or zstd");
  const release = releaseOf(args.text("qemu"));
  return { method, level, release, channels: args.number("channels", { min: 1, max: 255 }) ?? 2 };
}

function methodOf(text = "none"): WrittenMethod {
  if (text === "none" || text === "zlib" || text === "zstd") return text;
  throw new UsageError(`--multifd takes none, zlib or zstd, not ${JSON.stringify(text)}`);
}

/** Parses `10.0` to 1000. */
function releaseOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const release = releaseNumber(text);
  if (release === undefined || release < 400) {
    throw new UsageError(`--qemu takes a version from 4.0 on, like 7.2, not ${JSON.stringify(text)}`);
  }
  return release;
}

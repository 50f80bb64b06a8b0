import { spawn, spawnSync, type ChildProcessByStdio } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { projectRoot } from "../corpus.js";

/** C zlib in a separate process that measures itself round by round. */
export interface CZlib {
  /** Description for people. */
  what: string;
  /** One round over the whole file. */
  round(): Promise<{ seconds: number; bytes: number }>;
  end(): void;
}

/** The same work without a C compiler: Python's binding adds overhead, and its deflate has no reset. */
const PYTHON = `
import struct, sys, time, zlib
kind, name, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
data = open(name, "rb").read()
items = []
at = 0
while at < len(data):
    length = size
    if kind == "inflate":
        (length,) = struct.unpack_from(">I", data, at)
        at += 4
    items.append(data[at:at + length])
    at += length
print(zlib.ZLIB_RUNTIME_VERSION, flush=True)
for line in sys.stdin:
    start = time.perf_counter_ns()
    total = 0
    if kind == "inflate":
        for item in items: total += len(zlib.decompress(item))
    else:
        for item in items: total += len(zlib.compress(item, 1))
    print(time.perf_counter_ns() - start, total, flush=True)
`;

/** The compiled tools/engine/c-zlib.c, or undefined where it cannot be compiled. */
function compiled(): string | undefined {
  const root = projectRoot();
  const folder = join(root, "dist", "native");
  const program = join(folder, "c-zlib");
  const source = join(root, "tools", "engine", "c-zlib.c");
  mkdirSync(folder, { recursive: true });
  const made = spawnSync("gcc", ["-O2", "-o", program, source, "-lz"], { encoding: "utf8" });
  return made.status === 0 && existsSync(program) ? program : undefined;
}

/**
 * Starts it over a file: `deflate` takes pages, `inflate` takes payloads after be32 lengths. Undefined where there is
 * neither a C compiler with zlib nor python3.
 */
export async function startCZlib(
  kind: "deflate" | "inflate",
  file: string,
  pageSize: number,
): Promise<CZlib | undefined> {
  const program = compiled();
  const words = [kind, file, String(pageSize)];
  const child: ChildProcessByStdio<Writable, Readable, null> =
    program === undefined
      ? spawn("python3", ["-c", PYTHON, ...words], { stdio: ["pipe", "pipe", "inherit"] })
      : spawn(program, words, { stdio: ["pipe", "pipe", "inherit"] });
  child.on("error", () => child.stdout.destroy());
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const version = await lines.next();
  if (version.done === true) return undefined;
  const how =
    program === undefined
      ? `through Python${kind === "deflate" ? ", a new state a page" : ""} (no gcc with zlib.h)`
      : "its state reset a page";
  return {
    what: `C zlib ${version.value}, ${how}`,
    async round() {
      child.stdin.write("go\n");
      const line = await lines.next();
      if (line.done === true) throw new Error(`C zlib ended over ${file}`);
      const [nanoseconds = 0, bytes = 0] = line.value.split(" ").map(Number);
      return { seconds: nanoseconds / 1e9, bytes };
    },
    end: () => child.stdin.end(),
  };
}

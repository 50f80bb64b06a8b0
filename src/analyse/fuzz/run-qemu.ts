import { createHash } from "node:crypto";
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { QevmError } from "../../bytes/errors.js";
import { attempt } from "../../io/transport/file.js";
import { writeNewFile } from "../../io/transport/temporary.js";
import { kindsNamed, makeCase, type CaseOptions, type FuzzCase } from "./cases.js";
import { decodeCase, type DecodeOutcome } from "./decode-case.js";
import { takeApart } from "./parts.js";
import { tryQemu, type QemuCaseOptions, type QemuOutcome } from "./qemu-case.js";

/** One line of results. */
export interface QemuResult extends QemuOutcome {
  readonly seed: number;
  readonly kinds: readonly string[];
  readonly did: string;
  /** The result of our own strict decoder for the same bytes. */
  readonly ours: DecodeOutcome;
}

/** The first line of a file of results: what they are results of. */
interface QemuRunHeader {
  readonly qevm: "fuzz qemu";
  /** SHA-256 of the good stream. */
  readonly base: string;
  readonly command: readonly string[];
  readonly capabilities: readonly string[];
  readonly kinds: readonly string[] | null;
  readonly repair: boolean | null;
}

interface QemuRunOptions extends QemuCaseOptions {
  seed: number;
  cases: number;
  /** Destinations at a time. */
  jobs: number;
  kinds?: readonly string[] | undefined;
  repair?: boolean | undefined;
  /** JSON lines, one a case; a run that finds some of its cases there continues after them. */
  out: string;
  onProgress?: (done: number) => void;
}

/**
 * Runs cases against real destinations, a new one each. Errors: usage (other results in `out`, no such program), io.
 */
export async function runQemu(input: Uint8Array, options: QemuRunOptions): Promise<QemuResult[]> {
  const base = await takeApart(input);
  const how: CaseOptions = {
    kinds: options.kinds === undefined ? undefined : kindsNamed(options.kinds),
    repair: options.repair,
  };
  const header: QemuRunHeader = {
    qevm: "fuzz qemu",
    base: createHash("sha256").update(input).digest("hex"),
    command: options.command,
    capabilities: options.capabilities ?? [],
    kinds: options.kinds ?? null,
    repair: options.repair ?? null,
  };
  const good = await tryQemu(input, options);
  if (good.outcome !== "loaded") {
    const words = `${good.outcome}${good.text === "" ? "" : `: ${good.text.trim()}`}`;
    throw new QevmError("usage", `the destination does not load the undamaged stream (${words})`);
  }
  const before = resume(options.out, header);
  const known = new Set(before.map(({ seed }) => seed));
  const results = before.filter(({ seed }) => seed >= options.seed && seed < options.seed + options.cases);
  let next = options.seed;
  const one = async (): Promise<void> => {
    while (next < options.seed + options.cases) {
      const seed = next++;
      if (known.has(seed)) continue;
      const result = await judge(makeCase(base, seed, how), options);
      attempt(options.out, () => appendFileSync(options.out, `${JSON.stringify(result)}\n`));
      results.push(result);
      options.onProgress?.(results.length);
    }
  };
  await Promise.all(Array.from({ length: options.jobs }, one));
  return results.toSorted((a, b) => a.seed - b.seed);
}

async function judge({ seed, kinds, did, bytes }: FuzzCase, options: QemuCaseOptions): Promise<QemuResult> {
  const ours = await decodeCase(bytes, false);
  return { seed, kinds, did, ...(await tryQemu(bytes, options)), ours };
}

/** The results that a file holds already; a last line that was cut off is taken away. */
function resume(path: string, header: QemuRunHeader): QemuResult[] {
  const first = JSON.stringify(header);
  if (!existsSync(path)) {
    writeNewFile(path, `${first}\n`);
    return [];
  }
  const text = attempt(path, () => readFileSync(path, "utf8"));
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  const { header: found, results } = parseResults(whole, path);
  if (JSON.stringify(found) !== first) {
    throw new QevmError("usage", `${path} holds the results of another run`);
  }
  if (whole.length < text.length) attempt(path, () => writeFileSync(path, whole));
  return results;
}

/** Reads a file of results. Errors: bad-value. */
export function parseResults(text: string, path: string): { header: QemuRunHeader; results: QemuResult[] } {
  const lines = text.split("\n").filter((line) => line !== "");
  const parsed = lines.map((line, i) => {
    try {
      return JSON.parse(line) as unknown;
    } catch (error) {
      throw new QevmError("bad-value", `${path}: line ${i + 1} is not JSON`, { cause: error });
    }
  });
  const header = parsed.shift() as QemuRunHeader | undefined;
  if (header?.qevm !== "fuzz qemu") throw new QevmError("bad-value", `${path} holds no results of "qevm fuzz qemu"`);
  return { header, results: parsed as QemuResult[] };
}

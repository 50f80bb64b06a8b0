/** Whether a real QEMU loads a stream made from a capture, and then has the memory of the capture's source. */
import type { Test } from "tape";
import type { CorpusEntry } from "../../tools/corpus.js";
import {
  compare,
  destinationLike,
  startDestination,
  type Destination,
  type LikeOptions,
} from "../../tools/destination/index.js";
import { findQemus, usualProgram, type QemuBinary } from "../../tools/qemu/find.js";

/** The Debian package of the usual program. */
const HINT = "apt-get install --no-install-recommends qemu-system-x86";

/** The binary of that version; undefined with a printed reason. */
export function qemuOf(t: Test, version: string, program = usualProgram): QemuBinary | undefined {
  const qemus = findQemus(false, program);
  const found = qemus.find((qemu) => qemu.version === version);
  const none = program === usualProgram ? `no ${program} here (${HINT})` : `no ${program} here`;
  if (found === undefined) t.skip(qemus.length === 0 ? none : `no QEMU ${version} here`);
  return found;
}

interface LoadsOptions extends Omit<LikeOptions, "stream"> {
  /** Blocks whose bytes are not compared. */
  except?: readonly string[];
  /** Called with the loaded machine. */
  then?: (destination: Destination) => Promise<void>;
}

/** Asserts that it loads, that every block is equal, and pmemsave, registers and run state. */
export async function loads(
  t: Test,
  entry: CorpusEntry,
  stream: Uint8Array | string,
  what: string,
  options: LoadsOptions = {},
): Promise<void> {
  const { except = [], then, ...change } = options;
  const like = destinationLike(entry, { ...change, stream });
  // "pc" is another machine in every version: the capture's is used.
  const args = like.args.map((arg, i) => (like.args[i - 1] === "-machine" ? machineOf(arg, entry) : arg));
  const destination = await startDestination({ ...like, args });
  try {
    const { vm, result } = destination;
    t.equal(result.status, "completed", `${what}: loaded by QEMU ${vm.qemu.version} ${result.error}`);
    if (!result.loaded) return;
    const found = await compare(vm, entry.truth);
    const names = entry.truth.blocks.flatMap(({ name, sha256 }) =>
      sha256 === null || except.includes(name) ? [] : [name],
    );
    t.deepEqual(
      found.differentBlocks.filter((name) => !except.includes(name)),
      [],
      `${what}: memory equal`,
    );
    t.ok(names.length > 0 && found.equalBlocks.length > 0, `${what}: ${found.equalBlocks.length} blocks compared`);
    t.notEqual(found.pmemsaveEqual, false, `${what}: pmemsave equal`);
    t.notEqual(found.registersEqual, false, `${what}: registers equal`);
    t.equal(found.runState, runStateOf(entry), `${what}: run state`);
    await then?.(destination);
  } finally {
    await destination.vm.close();
  }
}

function machineOf(argument: string, { capture }: CorpusEntry): string {
  if (capture.machine === null) return argument;
  const [, ...properties] = argument.split(",");
  return [capture.machine, ...properties].join(",");
}

/** The run state of a destination started with `-S` after the load. */
function runStateOf({ truth }: CorpusEntry): string {
  return truth.destination?.runState ?? "paused";
}

/**
 * A destination that matches the source of a capture: the same machine, capabilities, hot-plugged devices and files.
 */
import { QevmError } from "../../src/bytes/errors.js";
import type { Capture } from "../capture/capture.js";
import type { Step } from "../capture/entry.js";
import { entries } from "../capture/entries/index.js";
import type { CorpusEntry } from "../corpus.js";
import { findQemu, type QemuBinary } from "../qemu/find.js";
import { commonArguments } from "../qemu/process.js";
import type { DestinationOptions } from "./destination.js";
import { sha256Of } from "../sha256.js";

/** Differences from the source. */
export interface LikeOptions {
  /**
   * Another version gets the source's machine type by its full name. Default: the version that made the capture; throws
   * `QevmError` (unsupported) when it is not installed.
   */
  readonly qemu?: QemuBinary;
  /** Default: the capture's own stream. */
  readonly stream?: DestinationOptions["stream"];
  /** Default: the capture's own capabilities. */
  readonly capabilities?: readonly string[];
  /** Default: through a pipe. */
  readonly from?: DestinationOptions["from"];
  /** Files of the working folder; default: created again from the list of entries. */
  readonly files?: DestinationOptions["files"];
}

/**
 * Options for `startDestination` that match a corpus entry. The files are created again from the list of entries.
 * Shared memory files of `x-ignore-shared` entries have their initial contents, not those that the source left.
 */
export function destinationLike({ name, capture, open }: CorpusEntry, change: LikeOptions = {}): DestinationOptions {
  const qemu = change.qemu ?? findQemu(capture.version, capture.command[0]);
  if (qemu === undefined) throw new QevmError("unsupported", `no QEMU ${capture.version} here`);
  const made = entries.find((item) => item.name === name)?.files ?? [];
  const own = change.files === undefined ? capture.files : [];
  const files = own.map((file) => {
    const bytes = made.find((item) => item.name === file.name)?.content();
    if (bytes === undefined || sha256Of(bytes) !== file.sha256) {
      throw new QevmError("usage", `${file.name} is no longer what ${name} was captured with: capture it again`);
    }
    return [file.name, bytes] as const;
  });
  const capabilities = change.capabilities ?? capture.capabilities;
  return {
    qemu,
    ...inOrder(capabilities),
    args: sameMachine(capture.command.slice(1 + commonArguments.length), capture, qemu),
    capabilities,
    before: pluggedIn(capture.steps),
    files: change.files ?? Object.fromEntries(files),
    stream: change.stream ?? open(),
    ...(change.from === undefined ? {} : { from: change.from }),
  };
}

/**
 * With several decompression threads QEMU (5.2 at least) sometimes loads the older of two copies of a page in one
 * section, or mixes them. One thread keeps their order.
 */
export function inOrder(capabilities: readonly string[]): Pick<DestinationOptions, "parameters"> {
  return capabilities.includes("compress") ? { parameters: { "decompress-threads": 1 } } : {};
}

/** In another version `pc` and `q35` are other machine types: use the source's full name. */
function sameMachine(args: readonly string[], { machine, version }: Capture, qemu: QemuBinary): string[] {
  return args.map((word, index) =>
    qemu.version === version || args[index - 1] !== "-machine" ? word : word.replace(/^[^,]+/u, machine),
  );
}

/** The commands that added devices to the source before the migration. */
export function pluggedIn(steps: readonly Step[]): Extract<Step, { execute: string }>[] {
  return steps.flatMap((step) =>
    "execute" in step && /^(?:object-add|device_add)$/u.test(step.execute) ? [step] : [],
  );
}

/** Provokes QEMU's error texts: captures in destinations that do not fit, and damaged captures. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { corpusEntry } from "../../tools/corpus.js";
import { startDestination, type DestinationOptions } from "../../tools/destination/index.js";
import type { QemuBinary } from "../../tools/qemu/find.js";

import type { Refused } from "./refused-case.js";
import { DEVICES } from "./refused-devices.js";
import { MACHINES } from "./refused-machines.js";
import { STREAMS } from "./refused-streams.js";

export const REFUSED: readonly Refused[] = [...MACHINES, ...STREAMS, ...DEVICES];

/** The stream of a case. */
export function streamOf({ entry, damage }: Refused): Buffer {
  const stream = corpusEntry(entry).open();
  return damage === undefined ? stream : damage(stream);
}

/** QEMU's output, verbatim, and whether it loaded. */
export async function refuse(
  qemu: QemuBinary,
  options: Pick<DestinationOptions, "args" | "stream"> & Partial<DestinationOptions>,
  send?: Refused["send"],
): Promise<{ loaded: boolean; text: string }> {
  const { stream } = options;
  try {
    const { vm, result } = await startDestination({
      qemu,
      timeout: 4000,
      ...options,
      ...(send === undefined || typeof stream === "string"
        ? {}
        : {
            stream: "unix:$DIR/incoming.sock",
            onListening: async (process) => send(join(process.folder, "incoming.sock"), Buffer.from(stream)),
          }),
    });
    // A warning may come after the event of the load.
    if (result.loaded) await sleep(100);
    const warnings = result.loaded ? vm.stderr.trim() : "";
    await vm.close();
    return { loaded: result.loaded, text: warnings === "" ? result.error : warnings };
  } catch (error) {
    // It did not start: the error text is in the message.
    return { loaded: false, text: String(error) };
  }
}

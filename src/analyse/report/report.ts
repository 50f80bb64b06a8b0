import type { StreamInput } from "../../io/container/input.js";
import { gather } from "./gather.js";
import { reportPage } from "./page.js";
import type { ReportOptions, StreamReport } from "./types.js";
import { hasDamagedPage } from "./verification.js";

/**
 * A self-contained HTML report of a stream: what it is, its damage, RAM, bytes,
 * sections, layout, registers, devices, the destination that fits, verification. Containers and recordings are seen
 * through.
 *
 * The input is read twice (once without `verify`); what cannot be read twice goes through a temporary file. A source
 * that was given stays open. Memory holds device state, a table of at most 64 MiB, and the page, which has 16
 * Mi characters at most: what is left out is counted there.
 *
 * What is wrong in the stream is not an error: it is in the report and in `damage`. Errors: io, usage; those of
 * containers' headers; `bad-magic` and `unsupported-version` where it is not a stream.
 * @example
 * const { html, damage } = await reportStream("vm.mig");
 * writeFileSync("report.html", html);
 */
export async function reportStream(input: StreamInput, options: ReportOptions = {}): Promise<StreamReport> {
  const facts = await gather(input, options);
  const { verified, damage } = facts;
  return {
    html: reportPage(facts),
    damage: damage.map(({ error }) => error),
    identical:
      verified.kind === "left out"
        ? undefined
        : verified.kind === "done" && verified.result.identical && !hasDamagedPage(verified),
  };
}

/** Characters of a report at most, whatever the stream. */
export const MOST_PAGE = 16 << 20;

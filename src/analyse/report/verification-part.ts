import { fileSize } from "../../bytes/text.js";
import { UNDESCRIBED } from "../../codec/stream/index.js";
import { markup, type Html, type Piece } from "./html.js";
import { address, exact, first, list, place, table, type Part } from "./parts.js";
import type { ReportFacts } from "./types.js";
import { hasDamagedPage } from "./verification.js";

/** In a few words. */
export function verdict({ verified, damage }: ReportFacts): Piece {
  switch (verified.kind) {
    case "left out":
      return "not tried";
    case "refused":
      return markup`<strong class="bad">not to the end</strong>: it stopped
        ${verified.error.offset === undefined ? "" : `at byte ${address(verified.error.offset)}`}`;
    case "done": {
      const { identical, firstDifference } = verified.result;
      if (hasDamagedPage(verified))
        return markup`<strong class="bad">damaged pages</strong>: what they hold is not known; see the damage above`;
      if (identical)
        return markup`<strong class="good">identical</strong>: encoded again from the decoded fields, every byte is the
          same`;
      if (damage.length > 0 && firstDifference !== null)
        return markup`<strong class="bad">not to the end</strong>: the same bytes up to ${address(firstDifference)}, where
          the damage begins to show`;
      return markup`<strong class="bad">different</strong
        >${firstDifference !== null && ` from byte ${address(firstDifference)} on`}`;
    }
  }
}

/** How much of the stream was understood, and how that was proved. */
export function verificationPart(facts: ReportFacts): Part {
  const { verified, inspection, unread } = facts;
  const pairs: [string, Piece][] = [["Encoded again", verdict(facts)]];
  if (verified.kind === "refused") pairs.push(["Because", verified.error.message]);
  if (verified.kind === "done") {
    const { recompressed, deltas: xbzrle } = verified.result;
    const { streamLength: all } = verified.result;
    pairs.push(["Bytes encoded again", exact("files" in verified.result ? all : all - unread)]);
    if (recompressed.pageCount > 0)
      pairs.push([
        "Compressed pages",
        `${exact(recompressed.identicalCount)} of ${exact(recompressed.pageCount)} identical when compressed again (level ${recompressed.levels.join(", ")})`,
      ]);
    if (xbzrle.pageCount > 0)
      pairs.push([
        "XBZRLE pages",
        `${exact(xbzrle.identicalCount)} of ${exact(xbzrle.pageCount)} identical when encoded again`,
      ]);
  }
  pairs.push(
    ["Bytes not understood", exact(inspection.opaqueBytes)],
    ["Bytes kept by name only", `${exact(inspection.namedBytes)} (fields whose codec is private to the device)`],
  );
  if (inspection.staleBytes > 0) pairs.push(["Left over, never read", `${exact(inspection.staleBytes)} bytes`]);
  if (inspection.trailingBytes > 0) pairs.push(["After the stream", `${exact(inspection.trailingBytes)} bytes`]);
  return { id: "verification", heading: "Verification", body: [list(pairs), channelTable(facts), opaque(facts)] };
}

function channelTable({ verified }: ReportFacts): Html {
  if (verified.kind !== "done" || !("files" in verified.result)) return markup``;
  const { shown, left } = first(verified.result.files, 300);
  const rows = shown.map(({ file, role, channelLength: bytes, identical, firstDifference }) => [
    file,
    role,
    exact(bytes),
    identical
      ? "identical"
      : markup`<strong class="bad">different</strong> from byte ${address(firstDifference ?? 0)} on`,
  ]);
  const columns = [{ name: "channel" }, { name: "role" }, { name: "bytes", number: true }, { name: "encoded again" }];
  return table("Channels", columns, rows, left > 0 && `${left} more channels are left out.`);
}

/** What is not understood and why; neighbours with one reason in one row. */
function opaque({ inspection }: ReportFacts): Html {
  const runs: { streamOffset: number; length: number; reason: string; parts: number }[] = [];
  for (const part of inspection.undecoded) {
    const last = runs.at(-1);
    if (last?.reason !== part.reason) runs.push({ ...part, parts: 1 });
    else {
      last.parts++;
      last.length += part.length;
    }
  }
  if (runs.length === 0) return markup``;
  const { shown, left } = first(runs, 100);
  const rows = shown.map(({ streamOffset, length, reason, parts }) => [
    place(streamOffset),
    exact(parts),
    fileSize(length),
    reason,
  ]);
  const columns = [
    { name: "at byte" },
    { name: "parts", number: true },
    { name: "length", number: true },
    { name: "why" },
  ];
  const lend = runs.some(({ reason }) => reason === UNDESCRIBED)
    ? markup`<code>--schema CAPTURE</code> reads device state by another capture of the same QEMU and machine. `
    : undefined;
  const more =
    left > 0 ? markup`${left} more are left out: <code>qevm inspect FILE --json</code> lists all.` : undefined;
  return table("Not understood", columns, rows, lend === undefined && more === undefined ? undefined : [lend, more]);
}

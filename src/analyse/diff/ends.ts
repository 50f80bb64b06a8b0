import { firstDifference, type Region } from "./bytes.js";
import { Differences } from "./parts.js";
import type { Rest, Scanned } from "./scan.js";
import type { PartDifference } from "./types.js";

/** How the streams end, and what follows them. */
export async function compareEnds(a: Scanned, b: Scanned): Promise<PartDifference[]> {
  const out = new Differences("end");
  out.value("meaning", "complete", a.inspection.complete, b.inspection.complete);
  const [ta, tb] = [a.trailing, b.trailing];
  const offset = { a: ta?.offset ?? null, b: tb?.offset ?? null };
  out.value("encoding", "bytes after", ta?.length ?? null, tb?.length ?? null, offset);
  if (ta !== undefined && tb !== undefined && ta.length === tb.length) {
    const at = await firstDifference(regionOf(a, ta), regionOf(b, tb));
    if (at !== undefined) {
      const where = { a: ta.offset + at, b: tb.offset + at };
      const [inA, inB] = [ta.length, tb.length];
      out.found.push({ level: "encoding", part: "end", subject: "content after", a: inA, b: inB, streamOffset: where });
    }
  }
  return out.found;
}

/** Parts that could not be decoded: they have the same bytes, or it cannot be told what the difference means. */
export async function compareRests(a: Scanned, b: Scanned): Promise<PartDifference[]> {
  const out = new Differences("undecoded");
  const [inA, inB] = [undecoded(a), undecoded(b)];
  const count = Math.max(inA.length, inB.length);
  for (let i = 0; i < count; i++) {
    const [ra, rb] = [inA[i], inB[i]];
    const offset = { a: ra?.offset ?? null, b: rb?.offset ?? null };
    const name = (ra ?? rb)!.reason;
    if (ra === undefined || rb === undefined) {
      out.value("meaning", name, ra?.length ?? null, rb?.length ?? null, offset);
      continue;
    }
    const at = await firstDifference(regionOf(a, ra), regionOf(b, rb));
    if (at === undefined) continue;
    const where = { a: ra.offset + at, b: rb.offset + at };
    out.found.push({
      level: "meaning",
      part: "undecoded",
      subject: name,
      a: ra.length,
      b: rb.length,
      streamOffset: where,
    });
  }
  return out.found;
}

function undecoded({ rests, unfinished }: Scanned): readonly Rest[] {
  return unfinished === undefined ? rests : [...rests, unfinished];
}

/** Where a rest is in the source. */
function regionOf({ source }: Scanned, { offset, length }: Rest): Region {
  return { source, start: offset - (source.offset ?? 0), length };
}

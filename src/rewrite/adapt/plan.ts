import { capabilitiesOf } from "../../codec/stream/index.js";
import { releaseNumber, upstreamMachine } from "../../guest/machines/index.js";
import { MergeContext } from "./context.js";
import { planBlocks } from "./blocks.js";
import { mergeDevice } from "./merge.js";
import { pairSections, sectionName, type Pair } from "./pair.js";
import { alignRegisters } from "./rules/arm-registers.js";
import { withoutBuffers } from "./rules/esp.js";
import { stoppedAt, withOffset } from "./rules/hpet.js";
import { BROKEN_LOADS } from "./rules/index.js";
import { rewrapped } from "./wrap.js";
import type { AdaptPlan, BlockPlan, Change, PatternFacts, Section, Survey } from "./types.js";

/** What has to be written so that the destination of the pattern loads the old guest. */
export function planAdapt(old: Survey, pattern: Survey, facts: PatternFacts = {}): AdaptPlan {
  const changes: Change[] = [];
  const blocks = planHead(old, pattern, changes);
  return { old, pattern, blocks, sections: planSections(old, pattern.sections, changes, facts), changes };
}

/**
 * The part of a plan that is known when the block list of a stream has come: what comes before the pages. Of devices,
 * those that are saved early.
 */
export function planSetup(old: Survey, pattern: Survey, facts: PatternFacts = {}): AdaptPlan {
  const changes: Change[] = [];
  const blocks = planHead(old, pattern, changes);
  const early = pattern.sections.filter((section) => section.early);
  return { old, pattern, blocks, sections: planSections(old, early, changes, facts), changes };
}

function planHead(old: Survey, pattern: Survey, changes: Change[]): BlockPlan[] {
  const stream = new MergeContext("the stream", 0, changes);
  if (old.machine !== pattern.machine) {
    const reason = "the destination's machine type; what its devices are is compared one by one below";
    stream.note("machine", "form", old.machine, pattern.machine, reason);
  }
  const [mine, theirs] = [upstreamMachine(old.machine)?.family, upstreamMachine(pattern.machine)?.family];
  if (mine !== undefined && theirs !== undefined && mine !== theirs) {
    stream.note("machine-family", "guest", mine, theirs, "another board: its devices are others, or elsewhere");
  }
  if (old.pageSize !== pattern.pageSize) {
    stream.note("page-size", "never", old.pageSize, pattern.pageSize, "pages of another size: another target");
  }
  if (capabilitiesOf(old.configuration).includes("x-ignore-shared")) {
    stream.note("ignore-shared", "never", "there", undefined, "memory that both sides share is not in the stream");
  }
  for (const { idstr, offset } of old.chunked) {
    const ctx = new MergeContext(JSON.stringify(idstr), offset, changes);
    const reason = "state that comes in parts beside RAM: it is not written";
    ctx.note(`section:${idstr}`, idstr === "dirty-bitmap" ? "guest" : "never", "there", undefined, reason);
  }
  return planBlocks(old, pattern, changes);
}

function planSections(old: Survey, pattern: readonly Section[], changes: Change[], facts: PatternFacts): Section[] {
  const pairs = pairSections(old.sections, pattern, changes);
  const clock = stoppedAt(old);
  return pairs.map((pair) => mergeSection(pair, changes, facts, clock));
}

const LATER = "a later QEMU, or the guest without this device";

function mergeSection(
  { old, pattern }: Pair,
  changes: Change[],
  facts: PatternFacts,
  clock: bigint | undefined,
): Section {
  const ctx = new MergeContext(sectionName(pattern), old.offset, changes, facts);
  const { idstr, instanceId, sectionId, early } = pattern;
  const release = releaseNumber(facts.release) ?? Number.POSITIVE_INFINITY;
  const broken = BROKEN_LOADS.find(({ section, until }) => section.test(idstr) && release <= releaseNumber(until)!);
  if (broken !== undefined) ctx.note(broken.name, broken.weight, "there", undefined, broken.reason, LATER);
  const versionId = Math.min(old.versionId, pattern.versionId);
  const section = { ...old, idstr, instanceId, sectionId, early, versionId };
  if (old.state !== undefined && pattern.state !== undefined) {
    const other = rewrapped(old.state, pattern.state) ?? withoutBuffers(old.state, pattern.state, ctx);
    const mine = withOffset(other ?? old.state, clock, ctx);
    const { name, instanceId: number } = mine.description;
    const aligned = alignRegisters(mine, pattern.state, ctx);
    const description = { ...aligned.description, name, instanceId: number };
    const state = mergeDevice({ ...mine, ...aligned, description }, pattern.state, ctx);
    return { ...section, state, ...(other === undefined ? {} : { versionId: pattern.versionId }) };
  }
  if ((old.state === undefined) !== (pattern.state === undefined)) {
    ctx.note(`section:${idstr}`, "never", "there", undefined, "only one of the two streams says what is in it");
  }
  return section;
}

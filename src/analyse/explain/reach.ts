/** Which releases `qevm adapt` brings a file to, beside those that load it as it is. */
import { upstreamMachine } from "../../guest/machines/index.js";
import type { Survey } from "./survey.js";
import type { AdaptReach, Destination, VersionRule } from "./types.js";
import { bounds, compareVersions, whatLoads } from "./versions.js";

/** Releases that adapted guests of these machines were loaded by: see chapter 90. */
const OLDEST = "7.2";
const NEWEST = "11.1";
/** Machines whose devices the rules of `adapt` know, and the name of their newest type in every QEMU. */
const FAMILIES: Readonly<Record<string, string>> = { "pc-i440fx": "pc", "pc-q35": "q35" };

/**
 * Undefined where `adapt` reaches no further than the file as it is, or cannot read it. The command is that of the
 * destination which the file shows, under its newest machine type.
 */
export function adaptReach(
  survey: Survey,
  { arguments: inferred }: Destination,
  rules: readonly VersionRule[],
  file: string,
): AdaptReach | undefined {
  const { inspection } = survey;
  const family = upstreamMachine(inspection.machine)?.family;
  const type = family === undefined ? undefined : FAMILIES[family];
  if (type === undefined || whatLoads(survey) === "none" || !inspection.complete) return undefined;
  if (inspection.undecoded.length > 0 || inspection.sections.some(({ section: name }) => name === "block"))
    return undefined;
  const { firstRelease: from, lastRelease: to } = bounds(rules);
  const further =
    (from !== null && compareVersions(from, OLDEST) > 0) || (to !== null && compareVersions(to, NEWEST) < 0);
  if (!further) return undefined;
  const command = ["qevm", "adapt", file, "--out", "NEW", "--", "qemu-system-x86_64", ...typed(inferred, type)];
  return { firstRelease: OLDEST, lastRelease: NEWEST, command };
}

/** A destination's command line under another machine type; its options stay. */
function typed(inferred: readonly string[], type: string): string[] {
  const at = inferred.indexOf("-machine") + 1;
  if (at === 0) return [...inferred];
  const [, ...options] = inferred[at]!.split(",");
  return inferred.with(at, [type, ...options].join(","));
}

import type { ByteSource } from "../../bytes/source.js";
import { withInput, type OpenOptions, type ReadingOf, type StreamInput } from "../../io/container/input.js";
import { domainOf, type Domain } from "../../io/container/libvirt/domain.js";
import type { LibvirtData } from "../../io/container/libvirt/header.js";
import type { Container } from "../../io/container/types.js";
import { explainMatch, type Context } from "./context.js";
import { explainDamage, keepContainer, keptInOne, noticed } from "./damage.js";
import { destinationFor } from "./destination.js";
import { matchTexts, namesIn, type Matched } from "./match.js";
import { surveyStream, type StreamWatch, type Survey } from "./survey.js";
import type { Explanation, Finding } from "./types.js";
import { adaptReach } from "./reach.js";
import { bounds, versionRules, whatLoads } from "./versions.js";

/** How a stream is opened and explained. */
export interface ExplainOptions extends OpenOptions {
  /** What the file is called in the commands that are proposed. Default FILE. */
  name?: string;
  /** The containers of the stream, from the outside in: `libvirt`, `gzip`, ... Default: what the input shows. */
  containers?: readonly string[];
  /** The texts of the save image that the stream was in: CPU, disks and firmware. Default: those of the input. */
  libvirt?: LibvirtData | undefined;
  /** @internal Looks on while the stream is read. */
  watch?: StreamWatch;
}

/**
 * Explains a stream to somebody whose QEMU refuses it: what in it each of QEMU's texts is about, why that QEMU refuses
 * it and what can be done; what a destination must look like, which releases load it, and what is wrong in it.
 *
 * Nothing that is wrong in the stream is thrown: it is in `damage`, with its address. `lenient` is of no effect.
 * @param text what QEMU printed, one line or several; undefined or empty: none
 * Errors: as `openStream`. A source passed in stays open.
 * @example
 * const { findings, destination } = await explainStream("vm.mig", "qemu-system-x86_64: Unknown savevm section type 0");
 * for (const { why, remedies } of findings) console.log(why, remedies);
 */
export async function explainStream(
  input: StreamInput,
  text?: string,
  options: ExplainOptions = {},
): Promise<Explanation> {
  const whatever = { unfinished: true, incomplete: true };
  return await withInput(
    input,
    options,
    async (source, reading) => {
      return await explainSource(source, text, { ...wrappedIn(source.containers), ...reading });
    },
    whatever,
  );
}

/** What the containers of a source say. */
export function wrappedIn(containers: readonly Container[]): {
  containers: readonly string[];
  libvirt: LibvirtData | undefined;
} {
  const libvirt = containers.find((one) => one.kind === "libvirt")?.data;
  return { containers: containers.map(({ kind }) => kind), libvirt };
}

/** The same for a source whose containers are already opened. */
export async function explainSource(
  source: ByteSource,
  text?: string,
  options: ReadingOf<ExplainOptions> = {},
): Promise<Explanation> {
  const { name = "FILE", containers = [], libvirt, watch, ...reading } = options;
  const matched = matchTexts(text ?? "");
  const wanted = matched.matches.flatMap(({ parts }) => [parts["section"] ?? "", parts["device"] ?? ""]);
  const survey = await surveyStream(source, reading, wanted, watch);
  return explainSurvey(survey, matched, { file: name, containers, domain: libvirt && domainOf(libvirt) });
}

function explainSurvey(
  survey: Survey,
  { matches, unknown, harmless }: Matched,
  { file, containers, domain }: { file: string; containers: readonly string[]; domain: Domain | undefined },
): Explanation {
  const { inspection } = survey;
  const rules = versionRules(survey, file);
  for (const rule of rules) {
    // A strict command refuses what is damaged: the damage comes first, with remedies of its own.
    if (survey.damage.length > 0) delete rule.remedy;
    else if (rule.remedy !== undefined) rule.remedy = keptInOne(rule.remedy, containers);
  }
  const destination = destinationFor(survey, domain);
  const reach = adaptReach(survey, destination, rules, file);
  const context: Context = { survey, file, destination, rules, reach, containers, matches };
  return {
    machine: inspection.machine,
    streamLength: inspection.streamLength,
    complete: inspection.complete,
    findings: findings(context),
    unknown,
    harmless,
    mentioned: unknown.flatMap((line) => mentioned(line, survey)),
    faults: explainDamage(context),
    destination: context.destination,
    versions: { ...bounds(rules), rules, loads: whatLoads(survey), adapt: context.reach ?? null },
    notes: noticed(context),
    inspection,
  };
}

/** The most telling first; among equals QEMU's order, which is from the inside out. */
function findings(context: Context): Finding[] {
  const all = context.matches.map((match): Finding => {
    const { about, here, why, remedies } = explainMatch(match, context);
    const kept = remedies.flatMap((one) => keepContainer(one, context.containers));
    const { text, words } = match;
    return { cause: text.cause, text: words, rank: text.rank, about, here, why, remedies: kept };
  });
  return all.toSorted((a, b) => a.rank - b.rank);
}

/** Sections and blocks of the file that an unrecognized line names. */
function mentioned(line: string, { inspection, blocks, devices }: Survey): string[] {
  const found: string[] = [];
  for (const name of namesIn(line)) {
    const device =
      devices.find((one) => one.name === name) ??
      devices.find((one) => one.name.endsWith(`/${name}`) || one.name.startsWith(`${name}/`));
    const section = inspection.sections.find((one) => one.section === name);
    if (device !== undefined)
      found.push(`device "${device.name}" instance ${device.instance} at byte 0x${device.offset.toString(16)}`);
    else if (section !== undefined)
      found.push(`section "${section.section}" at byte 0x${section.streamOffset.toString(16)}`);
    else if (blocks.has(name)) found.push(`RAM block "${name}" of ${blocks.get(name)!.length} bytes`);
  }
  return [...new Set(found)];
}

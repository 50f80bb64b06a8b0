import { commandLines, releasesLine, type Explanation, type Finding, type Remedy } from "../explain/index.js";
import { hex } from "../../bytes/errors.js";
import { fileSize, safe } from "../../bytes/text.js";
import { most } from "./voice.js";

/** Terminal width in columns. */
const WIDTH = 80;

/** The text report, most important first. */
export function explainLines(file: string, explained: Explanation, containers: readonly string[]): string[] {
  const lines = headline(file, explained, containers);
  const [best] = explained.findings;
  const told = explained.findings.filter(({ rank }) => rank === best?.rank || rank === 0);
  for (const finding of told) lines.push("", ...findingLines(finding));
  const rest = explained.findings.filter((finding) => !told.includes(finding));
  if (rest.length > 0) lines.push("", ...restLines(rest, told));
  lines.push(...unknownLines(explained));
  lines.push(...damageLines(explained));
  if (explained.inspection.streamVersion !== 3) return lines;
  lines.push(...versionLines(explained), ...destinationLines(explained));
  for (const note of explained.notes) lines.push("", ...paragraph(note, ""));
  return lines;
}

function headline(
  file: string,
  { machine, streamLength: bytes, complete, inspection, faults: damage }: Explanation,
  containers: readonly string[],
): string[] {
  if (inspection.streamVersion !== 3) return paragraph(`${file}: no migration stream`, "");
  const parts = ["QEMU migration stream", fileSize(bytes)];
  parts.push(machine === null ? "no machine type in it" : `machine ${machine}`);
  if (containers.length > 0) parts.push(`inside ${containers.join(" in ")}`);
  const shown = [...new Set([...inspection.capabilities, ...inspection.evident])];
  if (shown.length > 0) parts.push(shown.join(" "));
  parts.push(state({ faults: damage, complete, inspection }));
  return paragraph(`${file}: ${parts.join(", ")}`, "");
}

/** The state of the file in a few words. */
function state({
  faults: damage,
  complete,
  inspection,
}: Pick<Explanation, "faults" | "complete" | "inspection">): string {
  if (damage.some(({ error }) => error.code !== "unsupported")) return "DAMAGED";
  if (damage.length > 0) return "NOT READ to its end";
  if (!complete) return "NOT complete";
  return inspection.uncheckedPayloads > 0 ? "complete, its pages not checked" : "complete";
}

function findingLines({ text, here, why, remedies }: Finding): string[] {
  const lines = paragraph(`QEMU says: ${text}`, "");
  if (here.length > 0) lines.push(...labelled("here", here));
  if (why.length > 0) lines.push(...labelled("why", why));
  lines.push(...remedyLines(remedies));
  return lines;
}

/** `here: ...`, each sentence on its own line. */
function labelled(label: string, sentences: readonly string[]): string[] {
  return sentences.flatMap((sentence, i) =>
    paragraph(`${i === 0 ? `${label}:`.padEnd(6) : " ".repeat(6)}${sentence}`, "  ", "        "),
  );
}

/** Follow-on messages of the same failure; with more detail about those that add some. */
function restLines(rest: readonly Finding[], told: readonly Finding[]): string[] {
  const lines = ["Follow-on messages:"];
  for (const { text, here, about } of rest) {
    const new_ = here.length > 0 && told.every((one) => one.about.section !== about.section && one.here[0] !== here[0]);
    lines.push(...paragraph(new_ ? `${text}: ${here[0]}` : text, "  ", "    "));
  }
  return lines;
}

function unknownLines({ unknown, mentioned }: Explanation): string[] {
  if (unknown.length === 0) return [];
  const lines = ["", "Unrecognized messages:"];
  for (const line of unknown.slice(0, most(10))) lines.push(...paragraph(line, "  ", "    "));
  if (unknown.length > most(10)) lines.push(`  and ${unknown.length - most(10)} more lines`);
  if (mentioned.length > 0) {
    lines.push("What the file has of what these lines name:");
    for (const one of mentioned) lines.push(...paragraph(one, "  ", "    "));
  }
  return lines;
}

function damageLines({ faults: damage }: Explanation): string[] {
  const lines: string[] = [];
  for (const { error, times, streamOffsets: offsets, means, remedies } of damage.slice(0, most(5))) {
    const more =
      times === 1 ? "" : `, and ${times - 1} more of that kind, at byte ${offsets.slice(1).map(hex).join(", ")}`;
    lines.push("", ...paragraph(`The file is damaged: ${error.message}${more}`, "", "  "));
    for (const one of means) lines.push(...paragraph(one, "  ", "  "));
    lines.push(...remedyLines(remedies));
  }
  if (damage.length > most(5)) lines.push(`  and ${damage.length - most(5)} more places (-v lists all)`);
  return lines;
}

function versionLines({ versions }: Explanation): string[] {
  const { rules, loads, adapt } = versions;
  if (rules.length === 0 && loads === "may") return [];
  const lines = ["", ...paragraph(`${releasesLine(versions)}${rules.length > 0 && loads === "none" ? ":" : ""}`, "")];
  for (const { why, remedy, firstRelease: least, lastRelease: last } of rules) {
    const range = [least === undefined ? "" : `from ${least}`, last === undefined ? "" : `up to ${last}`]
      .filter((one) => one !== "")
      .join(" ");
    lines.push(...paragraph(range === "" ? `- ${why}` : `- ${range}: ${why}`, "  ", "    "));
    if (remedy !== undefined) lines.push(...remedyLines([remedy]));
  }
  if (adapt !== null && loads !== "none") {
    const what = `- by qevm adapt ${adapt.firstRelease} to ${adapt.lastRelease}, under a machine type that they have and with -global for what the old one set`;
    lines.push(...paragraph(what, "  ", "    "), ...commandLines(adapt.command));
  }
  return lines;
}

function destinationLines({ destination, versions }: Explanation): string[] {
  const damaged = versions.loads === "none";
  const { arguments: args, diskArguments, capabilities, notes, unnamed, devices } = destination;
  const lines: string[] = [];
  if (args.length > 0)
    lines.push(
      "",
      `The destination${damaged ? " of a whole copy" : ""}, inferred from the stream:`,
      ...commandLines(args),
    );
  if (diskArguments.length > 0)
    lines.push("  with the disks of the domain XML, where their files are:", ...commandLines(diskArguments, "    "));
  if (capabilities.length > 0) {
    lines.push("  before it loads, in its monitor:");
    for (const name of capabilities) lines.push(`    migrate_set_capability ${safe(name)} on`);
  }
  const unsure = devices.filter(({ also }) => also.length > 0);
  for (const { section, also, argument } of unsure) {
    lines.push(
      ...paragraph(
        `- ${section}: ${argument.split(",")[0]}, or ${also.join(", ")}: cannot be told from the stream`,
        "  ",
        "    ",
      ),
    );
  }
  if (unnamed.length > 0)
    lines.push(...paragraph(`- sections of which no option is known: ${unnamed.join(", ")}`, "  ", "    "));
  for (const note of notes) lines.push(...paragraph(`- ${note}`, "  ", "    "));
  return lines;
}

function remedyLines(remedies: readonly Remedy[]): string[] {
  return remedies.flatMap((remedy) => {
    const { what, arguments: args, command: words, monitor } = remedy;
    const more = args !== undefined || words !== undefined || monitor !== undefined;
    const lines = paragraph(`-> ${what}${more ? ":" : ""}`, "  ", "     ");
    if (args !== undefined) lines.push(...commandLines(args, "       "));
    if (words !== undefined) lines.push(...commandLines(words, "       "));
    for (const line of monitor ?? []) lines.push(`       (qemu) ${safe(line)}`);
    return lines;
  });
}

/** Wraps a text at 80 columns. */
function paragraph(text: string, indent: string, next = `${indent}  `): string[] {
  const lines: string[] = [];
  const lead = /^ */u.exec(text)?.[0] ?? "";
  let line = indent + lead;
  let empty = true;
  for (const word of safe(text.trimStart()).split(" ")) {
    if (!empty && line.length + 1 + word.length > WIDTH) {
      lines.push(line.trimEnd());
      line = next;
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  return [...lines, line.trimEnd()];
}

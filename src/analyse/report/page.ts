import { banner, damagePart } from "./damage-part.js";
import { bytesPart } from "./bytes-part.js";
import { cpuPart } from "./cpu-part.js";
import { destinationPart } from "./destination-part.js";
import { devicesPart } from "./devices-part.js";
import { markup } from "./html.js";
import { layoutPart } from "./layout-part.js";
import { memoryPart } from "./memory-part.js";
import { sectionsPart } from "./sections-part.js";
import { pageOf } from "./shell.js";
import { summaryPart } from "./summary-part.js";
import { timesPart } from "./times-part.js";
import { verificationPart } from "./verification-part.js";
import type { ReportFacts } from "./types.js";

/** The whole page. The same facts give the same text. */
export function reportPage(facts: ReportFacts): string {
  const times = timesPart(facts);
  const parts = [
    summaryPart(facts),
    damagePart(facts),
    ...(times === undefined ? [] : [times]),
    memoryPart(facts),
    bytesPart(facts),
    sectionsPart(facts),
    layoutPart(facts),
    cpuPart(facts),
    devicesPart(facts),
    destinationPart(facts),
    verificationPart(facts),
  ];
  return pageOf({
    title: facts.title,
    what: "Report on a QEMU migration stream",
    banner: banner(facts),
    parts,
    footer: markup`Made by ${facts.program}${facts.copied && ", from a pipe through a temporary file"}. The same input gives the same report, byte for byte. Names and values are shown as they are in the stream; bytes that are not printable ASCII as <code>\\xNN</code>.`,
  });
}

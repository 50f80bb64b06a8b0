import { createHash } from "node:crypto";
import { banner, damagePart } from "./damage-part.js";
import { bytesPart } from "./bytes-part.js";
import { cpuPart } from "./cpu-part.js";
import { destinationPart } from "./destination-part.js";
import { devicesPart } from "./devices-part.js";
import { Html, markup, people } from "./html.js";
import { layoutPart } from "./layout-part.js";
import { memoryPart } from "./memory-part.js";
import { sectionsPart } from "./sections-part.js";
import { STYLE } from "./style.js";
import { summaryPart } from "./summary-part.js";
import { verificationPart } from "./verification-part.js";
import type { ReportFacts } from "./types.js";

const STYLE_HASH = createHash("sha256").update(STYLE).digest("base64");

/** Nothing is loaded, nothing runs, and no style but the page's own applies. */
const POLICY = `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'; form-action 'none'`;

/** The whole page. The same facts give the same text. */
export function reportPage(facts: ReportFacts): string {
  const parts = [
    summaryPart(facts),
    damagePart(facts),
    memoryPart(facts),
    bytesPart(facts),
    sectionsPart(facts),
    layoutPart(facts),
    cpuPart(facts),
    devicesPart(facts),
    destinationPart(facts),
    verificationPart(facts),
  ];
  const title = people(facts.title);
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${new Html(POLICY)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
<header>
<h1>${title}</h1>
<p class="dim">Report on a QEMU migration stream</p>
${banner(facts)}<nav aria-label="Parts of the report"><ul>
${parts.map(
  ({ id, heading }) => markup`<li><a href="#${id}">${heading}</a></li>
`,
)}</ul></nav>
</header>
<main>
${parts.map(
  ({ id, heading, body }) =>
    markup`<section id="${id}" aria-labelledby="h-${id}">
      <h2 id="h-${id}">${heading}</h2>
      ${body}
    </section> `,
)}</main>
<footer>
<p>Made by ${facts.program}${facts.copied && ", from a pipe through a temporary file"}. The same input gives the same report, byte for byte. Names and values are shown as they are in the stream; bytes that are not printable ASCII as <code>\\xNN</code>.</p>
</footer>
</body>
</html>
`.text;
}

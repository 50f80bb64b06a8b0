import { commandLines, releasesLine } from "../explain/index.js";
import { remedy } from "./damage-part.js";
import { joined, markup, type Piece } from "./html.js";
import { first, points, type Part } from "./parts.js";
import type { ReportFacts } from "./types.js";
import { hasDamagedPage } from "./verification.js";

/** Lines of arguments that are shown. */
const MOST_LINES = 200;
/** Names in a list. */
const MOST_NAMES = 100;

/** What a QEMU must look like that loads the stream, as `qevm explain` reports it. */
export function destinationPart(facts: ReportFacts): Part {
  const { destination, versions } = facts.explained;
  const { arguments: args, diskArguments, capabilities, devices, unnamed, notes } = destination;
  const body: Piece[] = [];
  if (args.length > 0) {
    const { shown, left } = first(commandLines(args, ""), MOST_LINES);
    body.push(
      markup`<p>The destination, inferred from the stream:</p>
        <pre>${shown.map((line) => markup`${line}\n`)}</pre>
        ${
          left > 0 &&
          markup`<p class="note">${left} more lines are left out: <code>qevm explain FILE</code> prints all.</p>
`
        }`,
    );
  } else
    body.push(markup`<p>The destination cannot be inferred from the stream.</p>
`);
  if (diskArguments.length > 0) {
    const lines = first(commandLines(diskArguments, ""), MOST_LINES).shown;
    body.push(
      markup`<p>With the disks of the domain XML, where their files are:</p>
        <pre>${lines.map((line) => markup`${line}\n`)}</pre>
`,
    );
  }
  if (capabilities.length > 0)
    body.push(
      markup`<p>
        Before it loads, in its monitor:
        ${joined(
          capabilities.slice(0, MOST_NAMES).map((name) => markup`<code>migrate_set_capability ${name} on</code>`),
          markup`, `,
        )}.
      </p>
`,
    );
  const unsure = devices.filter(({ also }) => also.length > 0);
  const lines: Piece[] = unsure.map(
    ({ section, argument, also }) =>
      markup`<code>${section}</code>: ${argument.split(",")[0]}, or ${also.join(", ")}: cannot be told from the stream`,
  );
  if (unnamed.length > 0)
    lines.push(
      markup`sections of which no option is known:
      ${joined(
        unnamed.slice(0, MOST_NAMES).map((name) => markup`<code>${name}</code>`),
        markup`, `,
      )}${unnamed.length > MOST_NAMES && ` and ${unnamed.length - MOST_NAMES} more`}`,
    );
  lines.push(...notes);
  body.push(
    points(lines),
    markup`<h3>Releases of QEMU</h3>
`,
    releases({ ...versions, loads: whatLoads(facts) }),
  );
  return { id: "destination", heading: "What a destination must look like", body };
}

/** The result of `explain`, and what verification found about pages. */
function whatLoads({ explained, verified }: ReportFacts): ReportFacts["explained"]["versions"]["loads"] {
  const { loads } = explained.versions;
  if (loads !== "unchecked" && loads !== "may") return loads;
  if (verified.kind === "refused" || hasDamagedPage(verified)) return "none";
  return verified.kind === "done" && verified.result.identical ? "may" : loads;
}

function releases(versions: ReportFacts["explained"]["versions"]): Piece {
  const { rules, loads } = versions;
  if (rules.length === 0 && loads === "may")
    return markup`<p>The stream does not require a certain release.</p>
`;
  const lines = rules.map(({ firstRelease: least, lastRelease: most, why, remedy: cure }) => {
    const range = [least === undefined ? "" : `from ${least}`, most === undefined ? "" : `up to ${most}`]
      .filter((one) => one !== "")
      .join(" ");
    return markup`${range}${range !== "" && ": "}${why}${cure !== undefined && markup`<br />${remedy(cure)}`}`;
  });
  return markup`<p><strong>${releasesLine(versions)}.</strong></p>
    ${points(lines)}`;
}

import type { QevmError } from "../../bytes/errors.js";
import { commandLines, type Remedy } from "../explain/index.js";
import { markup, type Html, type Piece } from "./html.js";
import { address, exact, first, place, points, table, type Part } from "./parts.js";
import type { ReportFacts } from "./types.js";

/** The banner at the top: the state of the stream. */
export function banner({ damage, inspection, verified, unread, afterDamage }: ReportFacts): Html {
  const [worst] = damage;
  if (worst !== undefined) {
    const { error } = worst;
    return markup`<section class="state bad" aria-label="State of the stream">
      <p><strong>Damaged${error.offset !== undefined && ` at byte ${address(error.offset)}`}</strong>: ${sentence(error)}.</p>
      <p>
        ${damage.length > 1 && `${damage.length - 1} more kinds of damage are listed below. `}This report shows
        everything that could be read before and after
        it${unread > 0 && `; ${exact(unread)} bytes at the end of the file could not be decoded in order`}${afterDamage.length > 0 && `, and ${exact(afterDamage.length)} device sections were found there`}.
      </p>
    </section> `;
  }
  if (verified.kind === "done" && !verified.result.identical)
    return markup`<section class="state bad" aria-label="State of the stream">
      <p>
        <strong>Not the same bytes when encoded again</strong
        >${verified.result.firstDifference !== null && `, from byte ${address(verified.result.firstDifference)} on`}.
      </p>
    </section> `;
  const whole = inspection.complete ? "Complete" : "Not complete";
  const { opaqueBytes: opaque } = inspection;
  const unchecked = verified.kind === "done" ? 0 : inspection.uncheckedPayloads;
  const uncertain = inspection.catalogue?.uncertainBytes ?? 0;
  const every =
    uncertain === 0 ? "every byte understood" : `every byte but ${exact(uncertain)} uncertain ones understood`;
  const bytes = opaque === 0 ? every : `${exact(opaque)} bytes not understood`;
  const understood =
    unchecked === 0 ? bytes : `${bytes} but the payloads of ${exact(unchecked)} pages were not checked`;
  const again = verified.kind === "done" ? "identical when encoded again" : "not encoded again";
  const good = inspection.complete && opaque === 0 && uncertain === 0 && unchecked === 0;
  return markup`<section class="state ${good ? "good" : "fair"}" aria-label="State of the stream">
    <p><strong>${whole}.</strong> No damage found, ${understood}, ${again}.</p>
  </section> `;
}

/** Place and kind of an error, its offset aside. */
function sentence({ path, what, expected, found }: QevmError): string {
  const more = [
    ...(expected === undefined ? [] : [`expected ${expected}`]),
    ...(found === undefined ? [] : [`found ${found}`]),
  ];
  return (
    `${path.join(" > ")}${path.length === 0 ? "" : ": "}${what}` + (more.length === 0 ? "" : ` (${more.join(", ")})`)
  );
}

/** Damage, warnings and notes. */
export function damagePart({ damage, inspection, explained, unread, afterDamage }: ReportFacts): Part {
  const { shown, left } = first(damage, 30);
  const body: Piece[] = [];
  if (damage.length === 0)
    body.push(markup`<p>No damage was found.</p>
`);
  for (const { error, times, means, remedies } of shown) {
    body.push(
      markup`<div class="find">
        <p>
          <strong>${error.message}</strong>${times > 1 && `, and ${times - 1} more of that kind`}
          <code>${error.code}</code>
        </p>
        ${points([...means, ...remedies.map(remedy)])}
      </div> `,
    );
  }
  if (left > 0)
    body.push(markup`<p class="note">${left} more kinds are left out.</p>
`);
  if (unread > 0)
    body.push(markup`<p>${exact(unread)} bytes at the end of the file could not be decoded.</p>
`);
  body.push(foundAfterDamage(afterDamage), warnings(inspection), points(explained.notes));
  return { id: "damage", heading: "Damage and warnings", body };
}

/** Sections in the part that could not be read in order. */
function foundAfterDamage(items: ReportFacts["afterDamage"]): Piece {
  if (items.length === 0) return undefined;
  const { shown, left } = first(items, 300);
  const rows = shown.map(({ offset, idstr, instanceId, versionId, content }) => [
    place(offset),
    markup`<code>${idstr}/${instanceId}</code>`,
    versionId,
    content.kind === "device" ? "decoded" : "not understood",
  ]);
  return table(
    `Device sections found after the damage (${exact(items.length)}): looked for by their headers, so they are likely, not proved`,
    [{ name: "at byte" }, { name: "section" }, { name: "version", number: true }, { name: "state" }],
    rows,
    left > 0 && `${left} more are left out.`,
  );
}

function warnings({ warnings: all }: ReportFacts["inspection"]): Piece {
  if (all.length === 0)
    return markup`<p>No warnings.</p>
`;
  const { shown, left } = first(all, 200);
  const rows = shown.map(({ offset, path, message, code }) => [
    offset === undefined ? "" : place(offset),
    path.join(" > "),
    message,
    markup`<code>${code}</code>`,
  ]);
  return table(
    `Warnings (${exact(all.length)})`,
    [{ name: "byte" }, { name: "where" }, { name: "what" }, { name: "code" }],
    rows,
    left > 0 && markup`${left} more are left out: <code>qevm inspect FILE --lenient --json</code> lists them.`,
  );
}

/** What can be done, and the words for it. */
export function remedy({ what, arguments: args, command, monitor }: Remedy): Html {
  const lines = [
    ...(args === undefined ? [] : commandLines(args, "")),
    ...(command === undefined ? [] : commandLines(command, "")),
    ...(monitor ?? []).map((line) => `(qemu) ${line}`),
  ];
  return markup`${what}${lines.length > 0 && markup`:<pre>${lines.map((line) => markup`${line}\n`)}</pre>`}`;
}

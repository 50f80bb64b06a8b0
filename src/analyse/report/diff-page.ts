import { fileSize, memorySize, numberText } from "../../bytes/text.js";
import type { PlainValue } from "../../codec/vmstate/index.js";
import { registerName } from "../../guest/cores/register-names.js";
import type { FieldDifference, LeftOut, Pair, PartValue, StreamDiff, StreamSummary } from "../diff/index.js";
import { markup, type Html, type Piece } from "./html.js";
import { address, exact, first, table, type Part } from "./parts.js";
import { pageOf } from "./shell.js";

/** Rows of one table at most; the rest is counted. */
const MOST_ROWS = 2000;
/** Columns of a strip. */
const CELLS = 256;

/**
 * A comparison as a self-contained HTML page. The same comparison gives the same page, byte for byte.
 * @param files what the streams are called
 * @param program what made the page, for its last line
 */
export function diffPage(files: Pair<string>, diff: StreamDiff & { leftOut?: LeftOut }, program = "qevm"): string {
  return pageOf({
    title: `${files.a} and ${files.b}`,
    what: "Two QEMU migration streams, compared by content",
    banner: banner(diff),
    parts: [streams(files, diff), memory(diff), devices(diff), parts(diff)],
    footer: markup`Made by ${program}. The same streams give the same page, byte for byte.`,
  });
}

function banner({ verdict, firstByte, leftOut }: StreamDiff & { leftOut?: LeftOut }): Html {
  const words = {
    identical: "Identical, byte for byte",
    same:
      leftOut === undefined ? "The same: a destination gets the same of both" : "The same, but for what is left out",
    different: "Different: a destination does not get the same of both",
  };
  const { parts: p = 0, pageCount: pages = 0, values = 0 } = leftOut ?? {};
  return markup`<section class="state ${verdict === "different" ? "bad" : "good"}" aria-label="Verdict">
    <p><strong>${words[verdict]}</strong>.${firstByte !== null && markup` First byte that differs: A <code>${address(firstByte.streamOffset.a)}</code>, B <code>${address(firstByte.streamOffset.b)}</code>.`}${p + pages + values > 0 && ` Left out: ${exact(pages)} pages, ${exact(values)} values, ${exact(p)} parts.`}</p>
  </section> `;
}

function streams(files: Pair<string>, { a, b }: StreamDiff): Part {
  const row = (name: string, show: (one: StreamSummary) => Piece): Piece[] => [name, show(a), show(b)];
  const rows = [
    ["file", files.a, files.b],
    row("container", ({ container }) => container ?? "none"),
    row("bytes", ({ streamLength }) => fileSize(streamLength)),
    row("machine", ({ machine }) => machine ?? "not said"),
    row("complete", ({ complete }) => (complete ? "yes" : markup`<span class="bad">no</span>`)),
    row("not understood", ({ opaqueBytes }) => fileSize(opaqueBytes)),
    row("warnings", ({ warnings }) => exact(warnings.length)),
  ];
  return { id: "streams", heading: "Streams", body: table("What is compared", AB, rows) };
}

const AB = [{ name: "" }, { name: "A" }, { name: "B" }];

function memory({ ram }: StreamDiff): Part {
  const changed = ram.blocks.filter(({ compared: pages }) => pages.different + pages.onlyA + pages.onlyB > 0);
  const rows = ram.blocks.map(({ block: name, compared: pages, differentBytes: bytes }) => [
    markup`<code>${name}</code>`,
    exact(pages.same),
    exact(pages.different),
    exact(pages.onlyA),
    exact(pages.onlyB),
    exact(bytes),
  ]);
  const columns = ["block", "same", "different", "A only", "B only", "bytes"].map((name, i) => ({
    name,
    number: i > 0,
  }));
  const { shown, left } = first(ram.ranges, MOST_ROWS);
  const ranges = shown.map(({ block, blockOffset: offset, length, physical, first: bytes }) => [
    markup`<code>${address(offset)}</code>`,
    markup`<code>${block}</code>`,
    memorySize(length),
    physical === null ? "" : markup`<code>${address(physical)}</code>`,
    bytes !== undefined && markup`<code>${bytes.a}</code><br><code>${bytes.b}</code>`,
  ]);
  const body: Piece[] = [
    ram.notCompared !== null &&
      markup`<p>Not compared: ${ram.notCompared}.</p>
`,
    ram.blocks.length > 0 && table("Pages by RAM block", columns, rows),
    changed.map(({ block: name, blockLength: length }) => strip(name, Math.max(length.a, length.b), ram.ranges)),
    ranges.length > 0 &&
      table(
        `Pages that differ (${exact(ram.ranges.length)} ranges)`,
        [
          { name: "at" },
          { name: "block" },
          { name: "length", number: true },
          { name: "physical" },
          { name: "first bytes, A and B" },
        ],
        ranges,
        left > 0 && markup`${exact(left)} more are left out: <code>qevm diff A B --json</code> lists all.`,
      ),
  ];
  return { id: "ram", heading: "RAM", body };
}

/** Where in a block pages differ. */
function strip(name: string, length: number, ranges: StreamDiff["ram"]["ranges"]): Html {
  const scale = CELLS / Math.max(1, length);
  const boxes = new Set<number>();
  for (const range of ranges) {
    if (range.block !== name) continue;
    const end = Math.min(CELLS, Math.ceil((range.blockOffset + range.length) * scale));
    for (let cell = Math.floor(range.blockOffset * scale); cell < end; cell++) boxes.add(cell);
  }
  return markup`<figure>
    <figcaption><code>${name}</code> <span class="dim">${memorySize(length)}; where pages differ</span></figcaption>
    <svg class="strip even" role="img" aria-label="Where pages of ${name} differ" viewBox="0 0 ${CELLS} 24" preserveAspectRatio="none">
    <rect class="k-never" width="${CELLS}" height="24" />
    ${[...boxes].map((cell) => markup`<rect class="mark" x="${cell}" width="1" height="24" />`)}
    </svg>
    <p class="ends"><code>0x0</code> <code>${address(length)}</code></p>
  </figure> `;
}

function devices({ devices: all, a }: StreamDiff): Part {
  const values = all.reduce((sum, { fields }) => sum + fields.length, 0);
  let left = MOST_ROWS;
  const body = all.map(({ section: name, instance, streamOffset: offset, fields }) => {
    const shown = fields.slice(0, left);
    left -= shown.length;
    const rows = shown.map((field) => {
      const register = registerName(a.machine, name, field.field);
      const [inA, inB] = sides(field);
      return [
        markup`<code>${field.field}</code>${register !== undefined && ` (${register})`}`,
        markup`<code>${inA}</code>`,
        markup`<code>${inB}</code>`,
      ];
    });
    const caption = markup`<code>${name}/${instance}</code>: ${exact(fields.length)} values; section at A <code>${address(offset.a ?? 0)}</code>, B <code>${address(offset.b ?? 0)}</code>`;
    const more = fields.length - shown.length;
    return table(
      caption,
      [{ name: "value" }, { name: "A" }, { name: "B" }],
      rows,
      more > 0 && `${exact(more)} more are left out.`,
    );
  });
  const heading = `Devices (${exact(values)} values of ${exact(all.length)})`;
  return {
    id: "devices",
    heading,
    body:
      body.length > 0
        ? body
        : markup`<p>The same values in every device.</p>
`,
  };
}

function sides(field: FieldDifference): [string, string] {
  switch (field.kind) {
    case "only":
      return field.side === "a" ? [valueText(field.value), "none"] : ["none", valueText(field.value)];
    case "length":
      return [`${field.a} elements`, `${field.b} elements`];
    case "type":
      return [`type ${field.a}`, `type ${field.b}`];
    case "version":
      return [`version ${field.a}`, `version ${field.b}`];
    case "bytes":
      return [
        field.ranges.map(({ fieldOffset: offset, a }) => `[${address(offset)}] ${a}`).join(" "),
        field.ranges.map(({ fieldOffset: offset, b }) => `[${address(offset)}] ${b}`).join(" "),
      ];
    default:
      return [valueText(field.a), valueText(field.b)];
  }
}

function valueText(value: PlainValue): string {
  if (typeof value === "number") return Number.isInteger(value) ? numberText(value) : String(value);
  if (typeof value === "string") return value;
  return JSON.stringify(value, (_, inner: unknown) => (typeof inner === "bigint" ? `${inner}` : inner));
}

function parts({ differences }: StreamDiff): Part {
  const { shown, left } = first(differences, MOST_ROWS);
  const rows = shown.map(({ level, part, subject: name, a, b }) => [
    markup`${part} <code>${name}</code>`,
    partText(a),
    partText(b),
    level === "meaning" ? "a destination gets something else" : "written in another way",
  ]);
  const columns = [{ name: "part" }, { name: "A" }, { name: "B" }, { name: "what it means" }];
  return {
    id: "parts",
    heading: `Other parts (${exact(differences.length)})`,
    body:
      rows.length === 0
        ? markup`<p>None differs.</p>
`
        : table(
            "Everything but pages and values of devices",
            columns,
            rows,
            left > 0 && `${exact(left)} more are left out.`,
          ),
  };
}

function partText(value: PartValue): string {
  if (value === null) return "none";
  return typeof value === "object" ? value.join(" ") : String(value);
}

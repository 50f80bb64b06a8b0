import { memorySize } from "../../bytes/text.js";
import type { PageCounts } from "../inspect/inspect.js";
import type { DamageMark } from "./damage-marks.js";
import { Html, markup, type Piece } from "./html.js";
import { PageKind, type BlockStrip } from "./page-map.js";
import { address, exact, first, share, table, type Column, type Part } from "./parts.js";
import { CLASSES, HEIGHT, NAMES, ORDER, pathsOf } from "./strip.js";
import type { ReportFacts } from "./types.js";

/** Cells of a strip at most. */
export const CELLS = 256;
/** Blocks that are drawn; the largest. */
export const MOST_STRIPS = 48;
/** Blocks that are listed. */
const MOST_BLOCKS = 500;
const COUNTED: readonly (keyof PageCounts)[] = ["normal", "zero", "compressed", "xbzrle", "multifd", "mapped"];

/** RAM blocks: the encodings of their pages, and a map of them. */
export function memoryPart(facts: ReportFacts): Part {
  const { ram, pageSize } = facts.inspection;
  if (ram.blocks.length === 0)
    return {
      id: "ram",
      heading: "RAM",
      body: markup`<p>The stream has no RAM blocks, or none was reached.</p>
`,
    };
  const kinds = COUNTED.filter((kind) => kind === "normal" || kind === "zero" || ram.pages[kind] > 0);
  const { shown, left } = first(ram.blocks, MOST_BLOCKS);
  const rows: Piece[][] = shown.map((block) =>
    [markup`<code>${block.block}</code>`, memorySize(block.blockLength), address(block.blockLength)].concat(
      kinds.map((kind) => exact(block[kind])),
    ),
  );
  const total = ram.blocks.reduce((sum, { blockLength: length }) => sum + length, 0);
  rows.push([markup`<em>all</em>`, memorySize(total), address(total), ...kinds.map((kind) => exact(ram.pages[kind]))]);
  const columns: Column[] = [
    { name: "block" },
    { name: "length", number: true },
    { name: "bytes", number: true },
    ...kinds.map((name) => ({ name, number: true })),
  ];
  const body: Piece[] = [
    table(
      `RAM blocks; how many pages of ${memorySize(pageSize)} came in which encoding (a page may come more than once)`,
      columns,
      rows,
      left > 0 && markup`${left} more blocks are left out: <code>qevm inspect FILE --json</code> lists all.`,
    ),
    markup`<h3>Page map</h3>
      <p>
        A strip is a block from its first byte to its last; a column is a run of pages, divided by how the last content
        of each came.
      </p>
      <p class="legend">
        ${ORDER.map(
          (kind) =>
            markup`<span
              ><svg class="key" viewBox="0 0 1 1" aria-hidden="true">
                <rect class="k-${CLASSES[kind]}" width="1" height="1" />
              </svg>
              ${NAMES[kind]}</span
            > `,
        )}
        ${facts.marks.length > 0 && markup`<span class="bad">damage</span>`}
      </p>
`,
    facts.blocks.map(({ index, strip }) => {
      const block = ram.blocks[index]!;
      const marks = facts.marks.filter((mark) => mark.block === block.block);
      return figure(block, strip, { pageSize, marks });
    }),
  ];
  const undrawn = ram.blocks.length - facts.blocks.length;
  if (undrawn > 0)
    body.push(markup`<p class="note">${undrawn} smaller blocks are not drawn.</p>
`);
  return { id: "ram", heading: "RAM", body };
}

function figure(
  { block: name, blockLength: length }: { block: string; blockLength: number },
  strip: BlockStrip,
  { pageSize, marks }: { pageSize: number; marks: readonly DamageMark[] },
): Html {
  const { totals, pages, cells, partial } = strip;
  const present = ORDER.filter((kind) => totals[kind]! > 0);
  const counts = present
    .map((kind) => `${NAMES[kind]} ${exact(totals[kind]!)} (${share(totals[kind]!, pages)})`)
    .join(", ");
  const column = Math.ceil(pages / Math.max(1, cells.length));
  const scale =
    column === 1 ? "a column is a page" : `a column is up to ${exact(column)} pages, ${memorySize(column * pageSize)}`;
  const cut = "The map holds 512 GiB of pages: some that were sent are shown as never sent";
  return markup`<figure>
    <figcaption>
      <code>${name}</code>
      <span class="dim"
        >${memorySize(length)},
        ${pages === 1 ? "1 page" : `${exact(pages)} pages`}${present.length > 1 && `; ${scale}`}</span
      >
    </figcaption>
    ${cells.length > 0 && drawing({ name, counts, strip, present, marked: marks.map(({ offset }) => offset / pageSize) })}
    <p class="ends">
      <code>0x0</code> <span>${counts === "" ? "no pages" : counts}</span> <code>${address(length)}</code>
    </p>
    ${marks.map(
      ({ offset, what }) => markup`<p class="bad">Damage at <code>${address(offset)}</code>: ${what}.</p>
`,
    )}
    ${
      partial &&
      markup`<p class="note">${cut}.</p>
`
    }
  </figure> `;
}

/** What a strip shows. */
interface Drawn {
  name: string;
  /** The same in words, which is below it and is its name. */
  counts: string;
  strip: BlockStrip;
  present: readonly number[];
  /** Pages with damage, from the beginning of the block. */
  marked: readonly number[];
}

function drawing({ name, counts, strip: { cells, pages }, present, marked }: Drawn): Html {
  const paths = pathsOf(cells);
  const damage = marked.length === 0 ? "" : `; damaged pages: ${exact(marked.length)}`;
  return markup`<svg
    class="strip${present.length === 1 && marked.length === 0 && " even"}"
    role="img"
    aria-label="Map of RAM block ${name}: ${counts}${damage}"
    viewBox="0 0 ${cells.length} ${HEIGHT}"
    preserveAspectRatio="none"
  >
    <rect class="k-never" width="${cells.length}" height="${HEIGHT}" />
    ${present.filter((kind) => kind !== PageKind.NEVER).map((kind) => markup`<path class="k-${CLASSES[kind]}" d="${new Html(paths[kind] ?? "")}" /> `)}
    ${marked.map((page) => markup`<rect class="mark" x="${markAt(page, pages, cells.length)}" width="${Math.max(0.4, cells.length / 160)}" height="${HEIGHT}" /> `)}
  </svg> `;
}

/** Left edge of a mark, in columns: that of the page, and inside the strip. */
function markAt(page: number, pages: number, columns: number): number {
  return Number(Math.min((page * columns) / pages, columns * 0.99).toFixed(2));
}

import { grouped } from "../../bytes/text.js";
import { markup, type Html, type Piece } from "./html.js";

/** A part of the page under a heading; the navigation leads to it. `id` is ours, never from a stream. */
export interface Part {
  id: string;
  heading: string;
  body: Piece;
}

/** `0x1a5ae3d`. */
export function address(offset: number): string {
  return `0x${offset.toString(16)}`;
}

/** The same, as the first cell of a row. */
export function place(offset: number): Html {
  return markup`<code>${address(offset)}</code>`;
}

export { grouped as exact } from "../../bytes/text.js";

/** `12.3 %`, of a total that may be nothing. */
export function share(n: number, total: number): string {
  if (total === 0) return "-";
  const percent = (100 * n) / total;
  return percent > 0 && percent < 0.1 ? "< 0.1 %" : `${percent.toFixed(1)} %`;
}

/** A table's column: how it is called, and whether it holds numbers. */
export interface Column {
  name: string;
  number?: boolean;
}

/**
 * A table with a caption, in a box of its own that scrolls where it is long or wide. Rows' first cells are their
 * headers.
 */
export function table(
  caption: Piece,
  columns: readonly Column[],
  rows: readonly (readonly Piece[])[],
  note?: Piece,
): Html {
  const side = ({ number }: Column): Piece => number === true && markup` class="n"`;
  return markup`<div class="box" tabindex="0">
      <table>
        <caption>
          ${caption}
        </caption>
        <thead>
          <tr>
            ${columns.map((column) => markup`<th scope="col" ${side(column)}>${column.name}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${rows.map(
            (row) =>
              markup`<tr>
                ${row.map((cell, i) => cellOf(cell, i, side(columns[i]!)))}
              </tr> `,
          )}
        </tbody>
      </table>
    </div>
    ${
      note !== undefined &&
      note !== false &&
      markup`<p class="note">${note}</p>
`
    }`;
}

function cellOf(cell: Piece, i: number, side: Piece): Html {
  return i === 0 ? markup`<th scope="row" ${side}>${cell}</th>` : markup`<td${side}>${cell}</td>`;
}

/** Names and what they stand for. */
export function list(pairs: readonly (readonly [string, Piece])[]): Html {
  return markup`<dl>
    ${pairs.map(
      ([name, value]) =>
        markup`<div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div> `,
    )}
  </dl> `;
}

/** Paragraphs of a list, none where there is nothing; of many the first. */
export function points(items: readonly Piece[]): Html {
  if (items.length === 0) return markup``;
  const { shown, left } = first(items, MOST_POINTS);
  return markup`<ul>
    ${shown.map(
      (item) => markup`<li>${item}</li>
`,
    )}${
      left > 0 &&
      markup`<li class="note">${grouped(left)} more are left out</li>
`
    }</ul>
`;
}

const MOST_POINTS = 100;

/** The first `most` of a list, and a word about those that were left out. */
export function first<T>(items: readonly T[], most: number): { shown: readonly T[]; left: number } {
  return { shown: items.slice(0, most), left: Math.max(0, items.length - most) };
}

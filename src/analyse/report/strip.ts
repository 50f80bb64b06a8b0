/** How a strip of the page map is drawn. */
import { KINDS, PageKind } from "./page-map.js";

/** Height of a strip, in its own units. */
export const HEIGHT = 24;

/** From the bottom of a strip to its top. */
export const ORDER = [PageKind.DATA, PageKind.COMPRESSED, PageKind.XBZRLE, PageKind.ZERO, PageKind.NEVER];
/** By `PageKind`. */
export const NAMES: readonly string[] = ["never sent", "zero", "data", "compressed", "XBZRLE"];
/** Of the style, by `PageKind`. */
export const CLASSES: readonly string[] = ["never", "zero", "data", "comp", "xbz"];

/** One path a kind; neighbours of the same height are one rectangle. Only digits and letters of ours are in it. */
export function pathsOf(cells: readonly ArrayLike<number>[]): string[] {
  const paths = Array.from({ length: KINDS }, () => "");
  const open: ({ x: number; y: number; height: number } | undefined)[] = Array.from({ length: KINDS });
  const close = (kind: number, x: number): void => {
    const rect = open[kind];
    if (rect !== undefined) paths[kind]! += `M${rect.x} ${rect.y}h${x - rect.x}v${rect.height}H${rect.x}z`;
    open[kind] = undefined;
  };
  cells.forEach((cell, x) => {
    const heights = heightsOf(cell);
    let y = HEIGHT;
    for (const kind of ORDER) {
      const height = heights[kind]!;
      y -= height;
      const before = open[kind];
      if (before !== undefined && before.y === y && before.height === height) continue;
      close(kind, x);
      if (height > 0 && kind !== PageKind.NEVER) open[kind] = { x, y, height };
    }
  });
  for (const kind of ORDER) close(kind, cells.length);
  return paths;
}

/** Whole units that add up to the height; each part that is not empty gets at least one. */
function heightsOf(given: ArrayLike<number>): number[] {
  const cell = Array.from(given);
  const total = cell.reduce((sum, n) => sum + n, 0);
  const heights = cell.map((n) => (n === 0 ? 0 : Math.max(1, Math.round((HEIGHT * n) / total))));
  let over = heights.reduce((sum, n) => sum + n, 0) - HEIGHT;
  while (over !== 0) {
    const largest = heights.indexOf(Math.max(...heights));
    heights[largest]! -= Math.sign(over);
    over -= Math.sign(over);
  }
  return heights;
}

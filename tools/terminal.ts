/**
 * The picture of a terminal in the README: what the program prints on one, as SVG.
 *
 *     node dist/tools/terminal.js         writes spec/12-terminal.svg
 *
 * Chapter 12 holds the picture against what the program prints now.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { corpusEntry, projectRoot } from "./corpus.js";

const PROGRAM = fileURLToPath(new URL("../bin/qevm.cjs", import.meta.url));
const REFUSED = `Unknown ramblock "0000:00:02.0/vga.vram"`;
/** Command lines, and how many lines of each are shown. */
const LINES: readonly (readonly [string[], number])[] = [
  [["inspect", "vm.mig"], 17],
  [["explain", "vm.mig", REFUSED], 13],
];

const [WIDTH, COLUMN, LINE, MARGIN] = [80, 8.4, 18, 14] as const;

/** The picture, with what the program prints now. */
export function terminalPicture(): string {
  const folder = mkdtempSync(join(tmpdir(), "qevm-terminal-"));
  try {
    writeFileSync(join(folder, "vm.mig"), corpusEntry("pc-firmware").open());
    const rows: string[] = [];
    for (const [args, most] of LINES) {
      const printed = execFileSync(process.execPath, [PROGRAM, ...args, "--color", "always"], { cwd: folder });
      const lines = printed.toString("utf8").trimEnd().split("\n");
      const words = args.map((word) => (/^[\w.-]+$/u.test(word) ? word : `'${word}'`));
      rows.push(`$ qevm ${words.join(" ")}`, ...lines.slice(0, most));
      rows.push(...(lines.length > most ? ["...", ""] : [""]));
    }
    return svgOf(rows.slice(0, -1));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function svgOf(rows: readonly string[]): string {
  const columns = Math.max(WIDTH, ...rows.map((row) => row.replaceAll(SGR, "").length));
  const size = `${Math.ceil(columns * COLUMN + 2 * MARGIN)} ${rows.length * LINE + 2 * MARGIN}`;
  const [width, height] = size.split(" ");
  const text = rows.map((row, i) => `<text x="${MARGIN}" y="${MARGIN + 13 + i * LINE}">${spans(row)}</text>`);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size}" width="${width}" height="${height}" role="img">`,
    "<title>qevm inspect and qevm explain in a terminal</title>",
    "<style>text{font:14px ui-monospace,Menlo,Consolas,monospace;fill:#d8dee9;white-space:pre}.b{font-weight:bold;fill:#fff}.d{fill:#8f9bb3}</style>",
    '<rect width="100%" height="100%" rx="6" fill="#1f2430"/>',
    ...text,
    "</svg>",
    "",
  ].join("\n");
}

/** Select Graphic Rendition: bold, dim, colours. */
const SGR = new RegExp(String.raw`${String.fromCodePoint(27)}\[([\d;]*)m`, "gu");

function spans(row: string): string {
  let kind = row.startsWith("$ ") ? "b" : "";
  let out = "";
  for (const [i, piece] of row.split(SGR).entries()) {
    // Every second piece is a code.
    if (i % 2 === 1) kind = piece === "1" ? "b" : piece === "2" ? "d" : "";
    else if (piece !== "") out += kind === "" ? escaped(piece) : `<tspan class="${kind}">${escaped(piece)}</tspan>`;
  }
  return out;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  writeFileSync(join(projectRoot(), "spec", "12-terminal.svg"), terminalPicture());

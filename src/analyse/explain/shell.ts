import { safe } from "../../bytes/text.js";

/** Columns of a terminal. */
const WIDTH = 80;

/**
 * Arguments as a shell takes them, an option and its value together; long lines continue after a backslash. A value
 * that is longer than a line continues at the first column, where a shell puts both together.
 */
export function commandLines(args: readonly string[], indent = "  "): string[] {
  const words: string[] = [];
  args.forEach((arg, i) => {
    const before = args[i - 1];
    const value = i > 0 && before!.startsWith("-") && !arg.startsWith("-") && before !== "-nodefaults";
    if (value) words[words.length - 1] += ` ${shell(arg)}`;
    else words.push(shell(arg));
  });
  const lines: string[] = [];
  let line = indent;
  for (const word of words) {
    if (line.trim() !== "" && line.length + 1 + word.length > WIDTH - 2) {
      lines.push(`${line} \\`);
      line = `${indent}  `;
    }
    line += line.trim() === "" ? word : ` ${word}`;
    while (line.length > WIDTH - 2 && !word.includes("'")) {
      const at = line.slice(0, WIDTH - 1).lastIndexOf(",", line.length - 2) + 1;
      if (at === 0) break;
      lines.push(`${line.slice(0, at)}\\`);
      line = line.slice(at);
    }
  }
  return [...lines, line];
}

/** A word of a shell's command line, in quotes where it needs them. */
function shell(word: string): string {
  const shown = safe(word);
  return /^[\w@%+=:,./-]+$/u.test(shown) ? shown : `'${shown.replaceAll("'", "'\\''")}'`;
}

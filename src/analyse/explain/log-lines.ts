/** The lines that a program printed, out of what a log made of them: JSON of KubeVirt or QMP, HTML, colours, CRLF. */

/** Characters of a text that are looked at: a log of more is cut. */
const MOST = 1 << 20;

/** Takes escapes and wrappings away. What is left has the program's words and line breaks. */
export function logLines(given: string): string {
  const text = given
    .slice(0, MOST)
    .replaceAll("\r", "")
    // Colours of a terminal.
    .replaceAll(COLOUR, "")
    .replaceAll(/[\u201c\u201d]/gu, '"')
    .replaceAll(/[\u2018\u2019]/gu, "'")
    .replaceAll(/&(?:quot|#34);/gu, '"')
    .replaceAll(/&(?:apos|#39);/gu, "'")
    .replaceAll("&gt;", ">")
    .replaceAll("&lt;", "<")
    .replaceAll("&amp;", "&");
  return text.split("\n").map(lineOf).join("\n").split("\n").map(pieces).join("\n");
}

/** Characters of a line that are looked at in one: what looks for a text may take the square of it. */
const LONGEST = 4096;

function pieces(line: string): string {
  if (line.length <= LONGEST) return line;
  const parts: string[] = [];
  for (let at = 0; at < line.length; at += LONGEST) parts.push(line.slice(at, at + LONGEST));
  return parts.join("\n");
}

const COLOUR = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, "gu");

function lineOf(line: string): string {
  if (/\{\s*"[^"]*"\s*:/u.test(line)) return wordsOf(line);
  return line.includes('\\"') ? unescaped(line) : line;
}

/** The sentences in a line with a JSON document: the text before it, and its strings that have more than one word. */
function wordsOf(line: string): string {
  const begin = line.indexOf("{");
  const before = line.slice(0, begin).trim();
  const strings = [...line.slice(begin).matchAll(/"((?:[^"\\]|\\.)*)(?:"|$)/gu)].map(([, one = ""]) => decoded(one));
  const sentences = strings.filter((one) => /\S\s+\S/u.test(one)).map(logLines);
  return [before, ...sentences].filter((one) => one !== "").join("\n");
}

/** The content of a string of JSON, with one level of escapes removed; of a cut string, the part that is there. */
function decoded(content: string): string {
  if (!content.includes("\\")) return content;
  try {
    return JSON.parse(`"${content}"`) as string;
  } catch {
    return unescaped(content);
  }
}

/** What JSON escapes, also where it was escaped more than once. */
function unescaped(text: string): string {
  if (!text.includes("\\")) return text;
  return text
    .replaceAll(/(?<!\\)\\+u([0-9a-fA-F]{4})/gu, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
    .replaceAll(/(?<!\\)\\+(?:r\\+)?n/gu, "\n")
    .replaceAll(/(?<!\\)\\+t/gu, " ")
    .replaceAll(/(?<!\\)\\+(["'/])/gu, "$1");
}

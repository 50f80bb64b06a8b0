/** An independent parser of reports: it takes a page apart and reports everything that a report may not contain. */
import { SCRIPT } from "../../src/analyse/report/script.js";

interface PageTable {
  caption: string;
  head: string[];
  rows: string[][];
}

export interface ReportPage {
  /** Errors in the markup; empty: none. */
  complaints: string[];
  title: string;
  /** All text, tags replaced by nothing; entities resolved. */
  text: string;
  tables: PageTable[];
  /** Text of each `<li>` without lists in it, of each `<pre>`, and of each `<summary>`. */
  items: string[];
  pres: string[];
  summaries: string[];
  /** Names and values of definition lists. */
  facts: Map<string, string>;
  /** `d` of every path, by class. */
  paths: string[];
}

const VOID = new Set(["meta", "br", "rect", "path"]);
const TAGS = new Set(
  "html head meta title style body header h1 h2 h3 p strong section nav ul li a main dl div dt dd code table caption thead tbody tr th td figure figcaption span svg rect path details summary pre footer em b i br".split(
    " ",
  ),
);
const ATTRIBUTES = new Set(
  "lang charset http-equiv content name class id aria-label aria-labelledby aria-hidden href scope tabindex role viewBox preserveAspectRatio width height x d open".split(
    " ",
  ),
);
const ENTITIES: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  "#39": "'",
  "#96": "`",
};

/** Parses a page. */
export function readReport(html: string): ReportPage {
  const script = `<script>${SCRIPT}</script>\n`;
  const { page } = new Reading(html.replace(script, ""));
  // The page's own script is the only one, and is as the policy names it.
  if (!html.includes(script)) page.complaints.push("no script of the page's own");
  return page;
}

class Reading {
  readonly page: ReportPage = {
    complaints: [],
    title: "",
    text: "",
    tables: [],
    items: [],
    pres: [],
    summaries: [],
    facts: new Map(),
    paths: [],
  };
  /** Open tags, each with the text in it so far. */
  private readonly open: { tag: string; text: string }[] = [];
  private readonly ids = new Set<string>();
  private readonly links: string[] = [];
  private term = "";

  constructor(html: string) {
    const { complaints } = this.page;
    if (!html.startsWith("<!doctype html>\n")) complaints.push("no doctype");
    // oxlint-disable-next-line no-control-regex -- control characters are what must not be there
    const control = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/u.exec(html);
    if (control !== null) complaints.push(`a raw ${JSON.stringify(control[0])} at ${control.index}`);
    const body = html.slice(html.indexOf("\n") + 1);
    let at = 0;
    for (const match of body.matchAll(/<(\/?)([a-z0-9]+)((?:\s+[a-zA-Z-]+(?:="[^"<>]*")?)*)\s*\/?>/gu)) {
      this.characters(body.slice(at, match.index));
      at = match.index + match[0].length;
      const [, slash, tag = "", attributes = ""] = match;
      if (!TAGS.has(tag)) complaints.push(`the tag <${tag}>`);
      if (slash === "/") this.close(tag);
      else this.begin(tag, attributes);
    }
    this.characters(body.slice(at));
    if (this.open.length > 0) complaints.push(`not closed: ${this.open.map(({ tag }) => tag).join(" ")}`);
    for (const link of this.links) if (!this.ids.has(link)) complaints.push(`a link to #${link}`);
  }

  private characters(raw: string): void {
    const { complaints } = this.page;
    const inStyle = this.open.at(-1)?.tag === "style";
    if (!inStyle && /[<>]/u.test(raw)) complaints.push(`raw text ${JSON.stringify(raw.slice(0, 60))}`);
    if (inStyle) return;
    const text = resolved(raw, complaints);
    this.page.text += text;
    for (const one of this.open) one.text += text;
  }

  private begin(tag: string, attributes: string): void {
    const { complaints, tables, paths } = this.page;
    for (const [, name = "", value] of attributes.matchAll(/([a-zA-Z-]+)(?:="([^"]*)")?/gu)) {
      if (!ATTRIBUTES.has(name)) complaints.push(`the attribute ${name}`);
      if (name === "id") {
        if (this.ids.has(value ?? "")) complaints.push(`the id ${value} twice`);
        this.ids.add(value ?? "");
      }
      if (name === "href" && !/^#[a-z]+$/u.test(value ?? "")) complaints.push(`the link ${value}`);
      if (name === "href") this.links.push((value ?? "").slice(1));
      if (name === "d") paths.push(value ?? "");
      if (name === "class" && !/^[a-z -]+$/u.test(value ?? "")) complaints.push(`the class ${value}`);
      if (value !== undefined) resolved(value, complaints);
    }
    if (tag === "table") tables.push({ caption: "", head: [], rows: [] });
    if (tag === "tr") tables.at(-1)?.rows.push([]);
    if (!VOID.has(tag)) this.open.push({ tag, text: "" });
  }

  private close(tag: string): void {
    const { complaints, tables, facts } = this.page;
    const last = this.open.pop();
    if (last?.tag !== tag) {
      complaints.push(`</${tag}> closes <${last?.tag ?? ""}>`);
      return;
    }
    const text = last.text.trim().replaceAll(/\s+/gu, " ");
    const table = tables.at(-1);
    if (tag === "title") this.page.title = text;
    else if (tag === "caption" && table !== undefined) table.caption = text;
    else if (tag === "th" || tag === "td") table?.rows.at(-1)?.push(text);
    else if (tag === "thead" && table !== undefined) table.head = table.rows.pop() ?? [];
    else if (tag === "dt") this.term = text;
    else if (tag === "dd") facts.set(this.term, text);
    else if (tag === "li") this.page.items.push(text);
    else if (tag === "summary") this.page.summaries.push(text);
    else if (tag === "pre") this.page.pres.push(last.text);
  }
}

function resolved(raw: string, complaints: string[]): string {
  return raw.replaceAll(/&([a-z0-9#]*;?)/gu, (whole, name: string) => {
    const character = name.endsWith(";") ? ENTITIES[name.slice(0, -1)] : undefined;
    if (character === undefined) complaints.push(`the entity ${whole}`);
    return character ?? whole;
  });
}

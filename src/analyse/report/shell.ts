import { createHash } from "node:crypto";
import { Html, markup, people, type Piece } from "./html.js";
import type { Part } from "./parts.js";
import { SCRIPT } from "./script.js";
import { STYLE } from "./style.js";

const hash = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

/** Nothing is loaded, and no style and no script but the page's own applies. */
const POLICY = `default-src 'none'; style-src ${hash(STYLE)}; script-src ${hash(SCRIPT)}; base-uri 'none'; form-action 'none'`;

/** What a page is made of. */
export interface Page {
  /** Text of the person's own. */
  title: string;
  /** What the page is, in a line. */
  what: Piece;
  /** The state, at the top. */
  banner: Piece;
  parts: readonly Part[];
  footer: Piece;
}

/** A whole page, with nothing outside of it. It is complete without its script, which adds the search. */
export function pageOf({ title, what, banner, parts, footer }: Page): string {
  const heading = people(title);
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${new Html(POLICY)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${heading}</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
<header>
<h1>${heading}</h1>
<p class="dim">${what}</p>
${banner}<nav aria-label="Parts of the page"><ul>
${parts.map(
  (part) => markup`<li><a href="#${part.id}">${part.heading}</a></li>
`,
)}</ul></nav>
</header>
<main>
${parts.map(
  (part) =>
    markup`<section id="${part.id}" aria-labelledby="h-${part.id}">
      <h2 id="h-${part.id}">${part.heading}</h2>
      ${part.body}
    </section> `,
)}</main>
<footer>
<p>${footer}</p>
</footer>
<script>${new Html(SCRIPT)}</script>
</body>
</html>
`.text;
}

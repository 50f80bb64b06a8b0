import { memorySize } from "../../bytes/text.js";
import { markup } from "./html.js";
import { address, first, place, points, table, type Part } from "./parts.js";
import type { ReportFacts } from "./types.js";

/** Where the RAM blocks are in guest-physical memory, and how that is known. */
export function layoutPart({ layout, damage, afterDamage }: ReportFacts): Part {
  const heading = "Guest-physical layout";
  if ("none" in layout)
    return {
      id: "layout",
      heading,
      body: markup`<p>Not known: ${layout.none}.</p>
`,
    };
  const { shown, left } = first(layout.segments, 500);
  const rows = shown.map(({ start, length, block, offset, device }) => [
    place(start),
    address(start + length - 1),
    memorySize(length),
    markup`<code>${block}</code>`,
    place(offset),
    device === true ? "device or firmware" : "memory",
  ]);
  const columns = [
    { name: "first byte" },
    { name: "last byte", number: true },
    { name: "length", number: true },
    { name: "block" },
    { name: "offset in it", number: true },
    { name: "is" },
  ];
  const guessed = layout.how.some(isGuess);
  return {
    id: "layout",
    heading,
    body: [
      guessed &&
        markup`<p><strong class="fair">This layout is a guess</strong>, at least in part.</p>
`,
      table(
        "Guest-physical addresses and the RAM block bytes at them",
        columns,
        shown.length === 0 ? [] : rows,
        left > 0 && `${left} more segments are left out.`,
      ),
      markup`<h3>How it was found</h3>
`,
      layout.how.length === 0
        ? markup`<p>From the machine type's rule and the device state; nothing was guessed.</p>
`
        : points(layout.how.map((line) => (isGuess(line) ? markup`<strong class="fair">${line}</strong>` : line))),
      damage.length > 0 &&
        markup`<p class="note">The stream is damaged: ${afterDamage.length > 0 ? "device state that was found after the damage went into it" : "device state that was not reached is not in it"}.</p>
`,
    ],
  };
}

function isGuess(line: string): boolean {
  return line.startsWith("guess");
}

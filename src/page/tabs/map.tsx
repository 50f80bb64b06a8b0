import { useEffect, useRef, useState } from "preact/hooks";
import { grouped, memorySize, safe } from "../../bytes/text.js";
import { CLASSES, HEIGHT, NAMES, ORDER, pathsOf } from "../../analyse/report/strip.js";
import type { Client } from "../client.js";
import { commandOf } from "../command.js";
import { Command } from "../parts.js";
import type { BlockSummary, Opening, Strip, Survey } from "../protocol.js";

/** Columns of a strip. */
const CELLS = 256;
/** Blocks that are drawn at first; the largest. */
const MOST = 24;

/** The blocks of RAM as strips that can be zoomed, down to a page a column. */
export function MapTab({
  client,
  opening,
  survey,
  show,
}: {
  client: Client;
  opening: Opening;
  survey: Survey;
  show: (block: string, at: number) => void;
}) {
  const [all, setAll] = useState(false);
  const { blocks, pageSize } = survey;
  if (blocks.length === 0) return <p>The stream has no RAM blocks, or none was reached.</p>;
  const order = blocks.map((block, index) => ({ block, index })).toSorted((a, b) => b.block.length - a.block.length);
  return (
    <>
      <p>
        A strip is a block from its first byte to its last; a column is a run of pages, divided by how the last content
        of each came. Click a column, turn the wheel or press + and - to zoom, arrow keys move.
      </p>
      <Legend />
      {order.slice(0, all ? blocks.length : MOST).map(({ block, index }) => (
        <Block key={index} {...{ client, block, index, pageSize, show }} />
      ))}
      {blocks.length > MOST && !all && (
        <button type="button" onClick={() => setAll(true)}>
          Show {blocks.length - MOST} smaller blocks
        </button>
      )}
      <Command text={commandOf(opening, "report", "--out", "report.html")} />
    </>
  );
}

function Legend() {
  return (
    <p class="legend">
      {ORDER.map((kind) => (
        <span>
          <svg class="key" viewBox="0 0 1 1" aria-hidden="true">
            <rect class={`k-${CLASSES[kind]}`} width="1" height="1" />
          </svg>{" "}
          {NAMES[kind]}{" "}
        </span>
      ))}
    </p>
  );
}

interface Of {
  client: Client;
  block: BlockSummary;
  index: number;
  pageSize: number;
  show: (block: string, at: number) => void;
}

function Block({ client, block, index, pageSize, show }: Of) {
  const [strip, setStrip] = useState(block.strip);
  const [column, setColumn] = useState<number>();
  const pages = Math.ceil(block.length / pageSize);
  const newest = useRef(0);
  const zoom = (from: number, to: number): void => {
    const length = Math.max(1, Math.min(pages, Math.round(to - from)));
    const first = Math.max(0, Math.min(pages - length, Math.round(from)));
    const turn = ++newest.current;
    client.ask("strip", index, first, first + length, CELLS).then(
      (found) => {
        if (turn === newest.current) setStrip(found);
      },
      () => undefined,
    );
  };
  /** Zooms by a factor around a place in the strip, 0 to 1. */
  const by = (factor: number, around = 0.5): void => {
    const length = strip.to - strip.from;
    const wanted = Math.max(8, length * factor);
    const centre = strip.from + length * around;
    zoom(centre - wanted * around, centre + wanted * (1 - around));
  };
  const move = (share: number): void => {
    const by_ = Math.max(1, Math.round((strip.to - strip.from) * Math.abs(share))) * Math.sign(share);
    zoom(strip.from + by_, strip.to + by_);
  };
  const keys: Readonly<Record<string, () => void>> = {
    "+": () => by(1 / 4),
    "=": () => by(1 / 4),
    "-": () => by(4),
    ArrowLeft: () => move(-1 / 4),
    ArrowRight: () => move(1 / 4),
    Home: () => zoom(0, pages),
  };
  const from = strip.from * pageSize;
  const to = Math.min(block.length, strip.to * pageSize);
  const name = safe(block.name);
  const counts = ORDER.filter((kind) => strip.totals[kind]! > 0)
    .map((kind) => `${NAMES[kind]} ${grouped(strip.totals[kind]!)}`)
    .join(", ");
  return (
    <figure class="block">
      <figcaption>
        <code>{name}</code>{" "}
        <span class="dim">
          {memorySize(block.length)}, {grouped(pages)} {pages === 1 ? "page" : "pages"}
        </span>
        <span class="tools">
          <button type="button" onClick={() => by(1 / 4)} aria-label={`Zoom in on ${name}`}>
            +
          </button>
          <button type="button" onClick={() => by(4)} aria-label={`Zoom out of ${name}`}>
            -
          </button>
          <button type="button" onClick={() => move(-1 / 2)} aria-label={`Earlier pages of ${name}`}>
            &lt;
          </button>
          <button type="button" onClick={() => move(1 / 2)} aria-label={`Later pages of ${name}`}>
            &gt;
          </button>
          <button type="button" onClick={() => zoom(0, pages)} aria-label={`All of ${name}`}>
            all
          </button>
          <button
            type="button"
            onClick={() => show(block.name, from)}
            aria-label={`Bytes of ${name} at 0x${from.toString(16)}`}
          >
            bytes
          </button>
        </span>
      </figcaption>
      {strip.cells.length > 0 && (
        <Drawing
          strip={strip}
          label={`Map of RAM block ${name}, 0x${from.toString(16)} to 0x${to.toString(16)}: ${counts}`}
          click={(event) => by(1 / 8, place(event))}
          wheel={(event) => by(event.deltaY < 0 ? 1 / 2 : 2, place(event))}
          hover={(event) => setColumn(event === undefined ? undefined : Math.floor(place(event) * strip.cells.length))}
          key_={(event) => {
            const action = keys[event.key];
            if (action === undefined) return;
            event.preventDefault();
            action();
          }}
        />
      )}
      <p class="ends">
        <code>0x{from.toString(16)}</code>{" "}
        <span>{column === undefined ? counts : columnText(strip, column, pageSize)}</span>{" "}
        <code>0x{to.toString(16)}</code>
      </p>
    </figure>
  );
}

/** Where in a strip a pointer is, 0 to 1. */
function place(event: MouseEvent): number {
  const box = (event.currentTarget as Element).getBoundingClientRect();
  return Math.min(0.999999, Math.max(0, (event.clientX - box.left) / box.width));
}

/** What is in a column. */
function columnText({ from, to, cells }: Strip, column: number, pageSize: number): string {
  const pages = to - from;
  const first = from + Math.ceil((column * pages) / cells.length);
  const cell = cells[column] ?? [];
  const counts = ORDER.filter((kind) => (cell[kind] ?? 0) > 0).map((kind) => `${NAMES[kind]} ${grouped(cell[kind]!)}`);
  return `at 0x${(first * pageSize).toString(16)}: ${counts.join(", ")}`;
}

interface Drawn {
  strip: Strip;
  label: string;
  click: (event: MouseEvent) => void;
  wheel: (event: WheelEvent) => void;
  hover: (event: MouseEvent | undefined) => void;
  key_: (event: KeyboardEvent) => void;
}

function Drawing({ strip: { cells }, label, click, wheel, hover, key_ }: Drawn) {
  const element = useRef<SVGSVGElement>(null);
  const onWheel = useRef(wheel);
  onWheel.current = wheel;
  useEffect(() => {
    // Not passive: the page must not scroll while a strip is zoomed.
    const turned = (event: WheelEvent): void => {
      if (!event.ctrlKey && document.activeElement !== element.current) return;
      event.preventDefault();
      onWheel.current(event);
    };
    const svg = element.current;
    svg?.addEventListener("wheel", turned, { passive: false });
    return () => svg?.removeEventListener("wheel", turned);
  }, []);
  const paths = pathsOf(cells);
  return (
    <svg
      ref={element}
      class="strip"
      role="img"
      aria-label={label}
      tabIndex={0}
      viewBox={`0 0 ${cells.length} ${HEIGHT}`}
      preserveAspectRatio="none"
      onClick={click}
      onMouseMove={hover}
      onMouseLeave={() => hover(undefined)}
      onKeyDown={key_}
    >
      <rect class="k-never" width={cells.length} height={HEIGHT} />
      {ORDER.map((kind) => (paths[kind] === "" ? null : <path class={`k-${CLASSES[kind]}`} d={paths[kind]} />))}
    </svg>
  );
}

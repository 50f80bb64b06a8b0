import { useState } from "preact/hooks";
import { safe } from "../../bytes/text.js";
import type { WindowUnit } from "../../analyse/dump/window.js";
import { byteLines } from "../../analyse/text/dump.js";
import type { Client } from "../client.js";
import { commandOf } from "../command.js";
import { addressIn, Command, Field, noAddress, Refusal, useAnswer } from "../parts.js";
import type { Opening, StreamBytes, Survey } from "../protocol.js";

/** Bytes on the page. */
const SHOWN = 512;
/** Sections of which there is a choice. */
const MOST = 2000;

interface Of {
  client: Client;
  opening: Opening;
  survey: Survey;
  at: number;
  go: (at: number) => void;
}

/** The bytes of the stream itself; of the one under the pointer it is said what it belongs to, as by `qevm dump --at`. */
export function StreamTab({ client, opening, survey, at, go }: Of) {
  const start = at - (at % 16);
  const { value, refusal } = useAnswer(
    () => client.ask("streamAt", Math.max(start, survey.start), SHOWN),
    [start, client],
  );
  const [text, setText] = useState<string>();
  const [wrong, setWrong] = useState<string>();
  const submit = (event: Event): void => {
    event.preventDefault();
    const wanted = addressIn(text ?? String(at));
    setWrong(wanted === undefined ? noAddress(text ?? "") : undefined);
    if (wanted === undefined) return;
    setText(undefined);
    go(within(Number(wanted), survey));
  };
  return (
    <>
      <form class="row" onSubmit={submit}>
        <Field label="Section">
          <select
            value=""
            onChange={(event) => event.currentTarget.value !== "" && go(Number(event.currentTarget.value))}
          >
            <option value="">go to ...</option>
            {survey.sections.slice(0, MOST).map(({ name, offset }) => (
              <option value={offset}>
                0x{offset.toString(16)} {safe(name)}
              </option>
            ))}
          </select>
        </Field>
        <Field label="Byte of the stream">
          <input
            value={text ?? `0x${at.toString(16)}`}
            onInput={(event) => setText(event.currentTarget.value)}
            spellcheck={false}
          />
        </Field>
        <button type="submit">Go</button>
        <button type="button" onClick={() => go(within(at - SHOWN, survey))}>
          Back
        </button>
        <button type="button" onClick={() => go(within(at + SHOWN, survey))}>
          Next
        </button>
      </form>
      <Refusal text={wrong ?? refusal ?? value?.why} />
      {value !== undefined && <Bytes value={value} at={at} go={(to) => go(within(to, survey))} />}
      <Command text={commandOf(opening, "dump", "--at", `0x${at.toString(16)}`)} />
    </>
  );
}

function within(at: number, { start, end }: Survey): number {
  return Math.max(start, Math.min(at, end - 1));
}

/** The bytes, which are pointed at or walked through by the arrow keys. */
function Bytes({ value, at, go }: { value: StreamBytes; at: number; go: (at: number) => void }) {
  const [pointed, setPointed] = useState<number>();
  const here = pointed ?? at;
  const { unit, field } = found(value.units, here);
  const keys = (event: KeyboardEvent): void => {
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -16, ArrowDown: 16, PageUp: -SHOWN, PageDown: SHOWN }[
      event.key
    ];
    if (by === undefined) return;
    event.preventDefault();
    setPointed(undefined);
    go(at + by);
  };
  return (
    <>
      <pre class="lines said" role="status" aria-label="What this byte is">
        {(unit === undefined || field === undefined
          ? [`byte 0x${here.toString(16)} (${here})`]
          : byteLines(here, unit, field)
        ).join("\n")}
      </pre>
      <div
        class="bytes"
        tabIndex={0}
        role="group"
        aria-label="Bytes of the stream: arrow keys move"
        onKeyDown={keys}
        onMouseOver={(event) => setPointed(byteOf(event))}
        onMouseLeave={() => setPointed(undefined)}
        onClick={(event) => {
          const to = byteOf(event);
          if (to !== undefined) go(to);
        }}
      >
        {rowsOf(value).map((row) => (
          <div class="line" key={row}>
            <span class="at">{row.toString(16).padStart(8, "0")}</span>
            {Array.from({ length: Math.min(16, value.at + value.bytes.length - row) }, (_, k) => {
              const byte = value.bytes[row + k - value.at];
              if (byte === undefined) return <span>{"  "}</span>;
              const marks = [
                ...(row + k === at ? ["here"] : []),
                ...(field !== undefined && row + k >= field.streamOffset && row + k < field.streamOffset + field.length
                  ? ["of"]
                  : []),
              ];
              return (
                <span data-at={row + k} class={marks.join(" ")}>
                  {byte.toString(16).padStart(2, "0")}
                </span>
              );
            })}
          </div>
        ))}
      </div>
    </>
  );
}

/** The byte that an event is about. */
function byteOf(event: MouseEvent): number | undefined {
  const { at } = (event.target as HTMLElement).dataset;
  return at === undefined ? undefined : Number(at);
}

function rowsOf({ at, bytes }: StreamBytes): number[] {
  const first = at - (at % 16);
  return Array.from({ length: Math.ceil((at + bytes.length - first) / 16) }, (_, k) => first + 16 * k);
}

function found(units: readonly WindowUnit[], at: number) {
  const contains = ({ streamOffset: offset, length }: { streamOffset: number; length: number }): boolean =>
    offset <= at && at < offset + length;
  const unit = units.find(contains);
  return { unit, field: unit?.fields.find(contains) };
}

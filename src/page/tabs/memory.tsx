import { useState } from "preact/hooks";
import { HexLines } from "../../bytes/hex-lines.js";
import { safe } from "../../bytes/text.js";
import type { Client } from "../client.js";
import { commandOf } from "../command.js";
import { addressIn, Command, Field, Lines, noAddress, Refusal, useAnswer } from "../parts.js";
import type { MemoryFacts, Opening, Space } from "../protocol.js";

/** Bytes on the page. */
const SHOWN = 512;

/** Where in guest memory the view is. */
export interface MemoryPlace {
  space: string;
  at: bigint;
}

interface Of {
  client: Client;
  opening: Opening;
  place: MemoryPlace | undefined;
  go: (place: MemoryPlace) => void;
}

/** Bytes of guest memory: by guest-physical address, by a CPU's virtual address, or of a RAM block. */
export function MemoryTab({ client, opening, place, go }: Of) {
  const { value: facts, refusal } = useAnswer(() => client.ask("memory"), [client]);
  if (facts === undefined) return refusal === undefined ? <p>Looking for the pages ...</p> : <Refusal text={refusal} />;
  const first = facts.segments.length > 0 ? "physical" : `block ${facts.blocks[0]?.name ?? ""}`;
  const start = facts.segments[0]?.start ?? 0;
  return <View {...{ client, opening, facts, go }} place={place ?? { space: first, at: BigInt(start) }} />;
}

function View({ client, opening, facts, place, go }: Of & { facts: MemoryFacts; place: MemoryPlace }) {
  const [text, setText] = useState<string>();
  const [wrong, setWrong] = useState<string>();
  const space = spaceOf(place.space);
  const length = space.kind === "block" ? left(facts, space.name, place.at) : SHOWN;
  const { value, refusal, when } = useAnswer(
    () => client.ask("read", space, String(place.at), length),
    [place.at, place.space, client],
  );
  const [shownAt] = when;
  const address = `0x${place.at.toString(16)}`;
  const more = ["--length", String(length), ...(facts.lenient ? ["--lenient"] : [])];
  const submit = (event: Event): void => {
    event.preventDefault();
    const at = addressIn(text ?? address);
    setWrong(at === undefined ? noAddress(text ?? address) : undefined);
    if (at === undefined) return;
    setText(undefined);
    go({ ...place, at });
  };
  const move = (by: bigint): void => go({ ...place, at: place.at + by < 0n ? 0n : place.at + by });
  const keys = (event: KeyboardEvent): void => {
    const by = { PageDown: BigInt(SHOWN), PageUp: -BigInt(SHOWN), ArrowDown: 16n, ArrowUp: -16n }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    move(by);
  };
  return (
    <>
      <form class="row" onSubmit={submit}>
        <Field label="Memory">
          <select value={place.space} onChange={(event) => go({ space: event.currentTarget.value, at: 0n })}>
            {facts.segments.length > 0 && <option value="physical">guest-physical</option>}
            {facts.cpus.map((cpu) => (
              <option value={`virtual ${cpu}`}>virtual, CPU {cpu}</option>
            ))}
            {facts.blocks.map(({ name }) => (
              <option value={`block ${name}`}>block {safe(name)}</option>
            ))}
          </select>
        </Field>
        <Field label="Address">
          <input value={text ?? address} onInput={(event) => setText(event.currentTarget.value)} spellcheck={false} />
        </Field>
        <button type="submit">Go</button>
        <button type="button" onClick={() => move(-BigInt(SHOWN))}>
          Back
        </button>
        <button type="button" onClick={() => move(BigInt(SHOWN))}>
          Next
        </button>
      </form>
      <Refusal text={wrong ?? refusal} />
      <div onKeyDown={keys}>
        {value !== undefined && (
          <Lines lines={hexLines(shownAt, value.bytes)} label={`Memory at 0x${shownAt.toString(16)}`} />
        )}
      </div>
      {facts.warnings.length > 0 && <Lines lines={facts.warnings} label="Warnings" />}
      {facts.segments.length > 0 && (
        <details>
          <summary>Where RAM blocks are in guest-physical memory</summary>
          <ul>
            {facts.segments.map((one) => (
              <li>
                <button type="button" onClick={() => go({ space: "physical", at: BigInt(one.start) })}>
                  0x{one.start.toString(16)}
                </button>{" "}
                to 0x{(one.start + one.length).toString(16)}: <code>{safe(one.block)}</code> from 0x
                {one.offset.toString(16)}
              </li>
            ))}
          </ul>
        </details>
      )}
      {facts.why !== "" && <p class="note">{safe(facts.why)}</p>}
      <Command text={commandOf(opening, "read", ...readArguments(space, address), ...more)} />
    </>
  );
}

function spaceOf(text: string): Space {
  if (text.startsWith("block ")) return { kind: "block", name: text.slice(6) };
  if (text.startsWith("virtual ")) return { kind: "virtual", cpu: Number(text.slice(8)) };
  return { kind: "physical" };
}

/** Bytes from an offset of a block on. */
function left({ blocks }: MemoryFacts, name: string, at: bigint): number {
  const length = blocks.find((one) => one.name === name)?.length ?? 0;
  return Math.max(1, Math.min(SHOWN, length - Number(at)));
}

function readArguments(space: Space, address: string): string[] {
  if (space.kind === "physical") return ["--physical", address];
  if (space.kind === "block") return ["--block", space.name, "--offset", address];
  return ["--virtual", address, "--cpu", String(space.cpu)];
}

function hexLines(at: bigint, bytes: Uint8Array): string[] {
  const lines = new HexLines(at);
  return `${lines.add(bytes)}${lines.end()}`.trimEnd().split("\n");
}

import { useState } from "preact/hooks";
import { numberText, safe } from "../../bytes/text.js";
import type { Client } from "../client.js";
import { commandOf } from "../command.js";
import { Command, Field, Lines, Refusal, useAnswer } from "../parts.js";
import type { DeviceSummary, Hit, Opening, Survey } from "../protocol.js";

/** Values of one list that are shown at first. */
const MOST = 64;

interface Of {
  client: Client;
  opening: Opening;
  survey: Survey;
  find: string;
  setFind: (text: string) => void;
  showStream: (at: number) => void;
}

/** The devices as a tree: their values, and for CPUs the registers by name. */
export function DevicesTab({ client, opening, survey, find, setFind, showStream }: Of) {
  const wanted = find.trim();
  const { value: hits, refusal } = useAnswer(
    () => (wanted === "" ? Promise.resolve(undefined) : client.ask("find", wanted)),
    [wanted, client],
  );
  const { devices } = survey;
  const shown: readonly Hit[] = hits ?? devices.map((_, device) => ({ device, lines: [], more: 0 }));
  return (
    <>
      <Field label="Find in names and values">
        <input type="search" value={find} onInput={(event) => setFind(event.currentTarget.value)} />
      </Field>
      <p role="status">
        {hits === undefined ? `${devices.length} devices` : `${hits.length} of ${devices.length} devices have it`}
      </p>
      <Refusal text={refusal} />
      <ul class="tree">
        {shown.map((hit) => (
          <Device key={hit.device} {...{ client, opening, hit, showStream }} device={devices[hit.device]!} />
        ))}
      </ul>
      <details>
        <summary>The list as text</summary>
        <Lines lines={survey.deviceLines} label="Devices" />
      </details>
      <Command text={commandOf(opening, "devices")} />
    </>
  );
}

interface One {
  client: Client;
  opening: Opening;
  hit: Hit;
  device: DeviceSummary;
  showStream: (at: number) => void;
}

function Device({ client, opening, hit, device, showStream }: One) {
  const [open, setOpen] = useState(false);
  const title = `${safe(device.name)}/${device.instance}`;
  return (
    <li>
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>
          <b>{title}</b>{" "}
          <span class="dim">
            version {device.version}, {device.size}
          </span>{" "}
          {device.note !== "" && <span class="fair">{safe(device.note)}</span>}
        </summary>
        {open && <Values {...{ client, opening, device, showStream, title }} index={hit.device} />}
      </details>
      {hit.lines.length > 0 && <pre class="hits">{hit.lines.join("\n")}</pre>}
      {hit.more > 0 && <p class="note">and {hit.more} more values</p>}
    </li>
  );
}

interface Opened {
  client: Client;
  opening: Opening;
  device: DeviceSummary;
  index: number;
  title: string;
  showStream: (at: number) => void;
}

function Values({ client, opening, device, index, title, showStream }: Opened) {
  const { value, refusal } = useAnswer(() => client.ask("device", index), [index, client]);
  if (value === undefined) return <Refusal text={refusal} />;
  const { lines, values } = value;
  // Of a CPU the registers come first, by name; the tree below has the same fields as they were saved.
  const registers = lines.slice(1).filter((line) => !/^ {2}\S+ = /u.test(line));
  return (
    <div>
      {registers.length > 0 && <Lines lines={registers} label={`Registers of ${title}`} />}
      {values !== undefined && <Tree value={values} />}
      <details>
        <summary>As text</summary>
        <Lines lines={lines} label={`Values of ${title}`} />
      </details>
      <p>
        <button type="button" onClick={() => showStream(device.offset)}>
          Bytes in the stream at 0x{device.offset.toString(16)}
        </button>
      </p>
      <Command text={commandOf(opening, "devices", `${device.name}/${device.instance}`)} />
    </div>
  );
}

function Tree({ value }: { value: object }) {
  const [all, setAll] = useState(false);
  const members: [string, unknown][] = Object.entries(value);
  return (
    <ul>
      {members.slice(0, all ? members.length : MOST).map(([name, member]) => (
        <li key={name}>
          <Member name={safe(name)} value={member} />
        </li>
      ))}
      {members.length > MOST && !all && (
        <li>
          <button type="button" onClick={() => setAll(true)}>
            {members.length - MOST} more
          </button>
        </li>
      )}
    </ul>
  );
}

function Member({ name, value }: { name: string; value: unknown }) {
  const [open, setOpen] = useState(name === "fields");
  if (typeof value !== "object" || value === null || isPlainList(value)) {
    return (
      <>
        {name} = <code>{Array.isArray(value) ? value.map(plainText).join(" ") : plainText(value)}</code>
      </>
    );
  }
  return (
    <details open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{name}</summary>
      {open && <Tree value={value} />}
    </details>
  );
}

/** As `qevm devices` prints it. */
function plainText(value: unknown): string {
  return typeof value === "number" && Number.isInteger(value) ? numberText(value) : safe(String(value));
}

function isPlainList(value: object): boolean {
  return Array.isArray(value) && value.length <= MOST && value.every((element) => typeof element !== "object");
}

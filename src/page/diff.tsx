import { useState } from "preact/hooks";
import type { Client } from "./client.js";
import { commandLines } from "../analyse/explain/shell.js";
import { Command, Lines, messageOf, Refusal, useAnswer } from "./parts.js";
import type { Opening } from "./protocol.js";
import { saveAs } from "./save.js";

/** Two files compared: the text of `qevm diff`. */
export function DiffView({ client, a, b }: { client: Client; a: Opening; b: Opening }) {
  const { value, refusal } = useAnswer(() => client.ask("diff", a, b), [client]);
  const [failed, setFailed] = useState<string>();
  if (value === undefined) return refusal === undefined ? <p>Comparing ...</p> : <Refusal text={refusal} />;
  const { document } = value;
  const told = (error: unknown): void => setFailed(messageOf(error));
  return (
    <section aria-label="Comparison">
      <h2>Comparison</h2>
      <Lines lines={value.lines} label="Comparison" />
      {document !== undefined && (
        <button
          type="button"
          onClick={() => void saveAs(`${a.name}.diff.json`, () => Promise.resolve(document)).catch(told)}
        >
          Save as JSON
        </button>
      )}
      <Refusal text={failed} />
      <Command text={commandLines(["qevm", "diff", a.name, b.name], "").join("\n")} />
    </section>
  );
}

import type { Client } from "./client.js";
import { commandLines } from "../analyse/explain/shell.js";
import { Command, Lines, Refusal, useAnswer } from "./parts.js";
import type { Opening } from "./protocol.js";
import { download } from "./save.js";

/** Two files compared: the text of `qevm diff`. */
export function DiffView({ client, a, b }: { client: Client; a: Opening; b: Opening }) {
  const { value, refusal } = useAnswer(() => client.ask("diff", a, b), [client]);
  if (value === undefined) return refusal === undefined ? <p>Comparing ...</p> : <Refusal text={refusal} />;
  const { document } = value;
  return (
    <section aria-label="Comparison">
      <h2>Comparison</h2>
      <Lines lines={value.lines} label="Comparison" />
      {document !== undefined && (
        <button type="button" onClick={() => download(document)}>
          Save as JSON
        </button>
      )}
      <Command text={commandLines(["qevm", "diff", a.file.name, b.file.name], "").join("\n")} />
    </section>
  );
}

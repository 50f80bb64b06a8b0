import { useState } from "preact/hooks";
import { memorySize, safe } from "../../bytes/text.js";
import type { Client } from "../client.js";
import { commandOf } from "../command.js";
import { Command, Field, messageOf, Refusal } from "../parts.js";
import type { Document, Opening, Survey } from "../protocol.js";
import { saveAs, saveBlock } from "../save.js";

const DOCUMENTS: readonly Document[] = ["inspect", "devices", "explain"];

/** What the program writes, saved from the page. */
export function ExportTab({ client, opening, survey }: { client: Client; opening: Opening; survey: Survey }) {
  const [refusal, setRefusal] = useState<string>();
  const [said, setSaid] = useState("");
  const [block, setBlock] = useState(0);
  const work = (done: Promise<boolean>): void => {
    setRefusal(undefined);
    setSaid("");
    done.then(
      (saved) => setSaid(saved ? "Saved" : ""),
      (error: unknown) => setRefusal(messageOf(error)),
    );
  };
  const chosen = survey.blocks[block];
  return (
    <>
      <h3>Report</h3>
      <p>One HTML page with all of it. Everything is encoded again and compared: the whole file is read twice.</p>
      <button type="button" onClick={() => work(saveAs(`${opening.name}.html`, () => client.ask("report")))}>
        Save the report
      </button>
      <Command text={commandOf(opening, "report", "--out", "report.html")} />
      <h3>JSON</h3>
      {DOCUMENTS.map((which) => (
        <div key={which}>
          <button
            type="button"
            onClick={() => work(saveAs(`${opening.name}.${which}.json`, () => client.ask("json", which)))}
          >
            Save {which}
          </button>
          <Command text={commandOf(opening, which, "--json")} />
        </div>
      ))}
      {chosen !== undefined && (
        <>
          <h3>A RAM block as a raw file</h3>
          <Field label="Block">
            <select value={block} onChange={(event) => setBlock(Number(event.currentTarget.value))}>
              {survey.blocks.map(({ name, length }, k) => (
                <option value={k}>
                  {safe(name)}, {memorySize(length)}
                </option>
              ))}
            </select>
          </Field>{" "}
          <button
            type="button"
            onClick={() =>
              work(saveBlock(client, chosen, (done) => setSaid(`${memorySize(done)} of ${memorySize(chosen.length)}`)))
            }
          >
            Save the block
          </button>
          <Command
            text={`${commandOf(opening, "read", "--block", chosen.name, "--length", String(chosen.length), "--raw", ...(survey.damaged ? ["--lenient"] : []))} > block.raw`}
          />
        </>
      )}
      <p role="status">{said}</p>
      <Refusal text={refusal} />
    </>
  );
}

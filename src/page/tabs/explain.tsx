import { useState } from "preact/hooks";
import type { Client } from "../client.js";
import { commandOf } from "../command.js";
import { Command, Lines, messageOf, Refusal } from "../parts.js";
import type { Opening, Survey } from "../protocol.js";

/** Why a QEMU refuses the stream, and which would load it: the text of `qevm explain`. */
export function ExplainTab({ client, opening, survey }: { client: Client; opening: Opening; survey: Survey }) {
  const [text, setText] = useState("");
  const [told, setTold] = useState({ text: "", lines: survey.explained });
  const [refusal, setRefusal] = useState<string>();
  const submit = (event: Event): void => {
    event.preventDefault();
    setRefusal(undefined);
    client.ask("explain", text.trim()).then(
      ({ lines }) => setTold({ text: text.trim(), lines }),
      (error: unknown) => setRefusal(messageOf(error)),
    );
  };
  return (
    <>
      <form onSubmit={submit}>
        <label class="field wide">
          <span>What QEMU printed (one line or several; empty: what would load the stream)</span>
          <textarea
            rows={4}
            spellcheck={false}
            value={text}
            placeholder='qemu-system-x86_64: Unknown ramblock "pc.ram", cannot accept migration'
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
        <button type="submit">Explain</button>
      </form>
      <Refusal text={refusal} />
      <Lines lines={told.lines} label="Explanation" />
      <Command text={commandOf(opening, "explain", ...(told.text === "" ? [] : [told.text]))} />
    </>
  );
}

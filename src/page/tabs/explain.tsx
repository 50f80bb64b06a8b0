import { useState } from "preact/hooks";
import type { Client } from "../client.js";
import { commandOf } from "../command.js";
import { Command, Lines, messageOf, Refusal } from "../parts.js";
import type { Opening, Survey } from "../protocol.js";

/** What was typed, and what was told last; it stays while other tabs are looked at. */
export interface Asked {
  text: string;
  told?: { text: string; lines: readonly string[] };
}

interface Of {
  client: Client;
  opening: Opening;
  survey: Survey;
  asked: Asked;
  setAsked: (change: (now: Asked) => Asked) => void;
}

/** Why a QEMU refuses the stream, and which would load it: the text of `qevm explain`. */
export function ExplainTab({ client, opening, survey, asked, setAsked }: Of) {
  const { text, told = { text: "", lines: survey.explained } } = asked;
  const [refusal, setRefusal] = useState<string>();
  const submit = (event: Event): void => {
    event.preventDefault();
    setRefusal(undefined);
    client.ask("explain", text.trim()).then(
      ({ lines }) => setAsked((now) => ({ ...now, told: { text: text.trim(), lines } })),
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
            onInput={(event) => {
              const { value } = event.currentTarget;
              setAsked((now) => ({ ...now, text: value }));
            }}
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

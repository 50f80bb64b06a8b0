import { useState } from "preact/hooks";
import type { Client } from "./client.js";
import type { Place } from "./fragment.js";
import { Refusal, useAnswer } from "./parts.js";
import type { Opening, Summary, Survey } from "./protocol.js";
import { DevicesTab } from "./tabs/devices.js";
import { ExplainTab, type Asked } from "./tabs/explain.js";
import { ExportTab } from "./tabs/export.js";
import { MapTab } from "./tabs/map.js";
import { MemoryTab, type MemoryPlace } from "./tabs/memory.js";
import { StreamTab } from "./tabs/stream.js";
import { SummaryTab } from "./tabs/summary.js";

const TABS = ["summary", "map", "devices", "memory", "stream", "explain", "export"] as const;
type Tab = (typeof TABS)[number];

const TITLES: Readonly<Record<Tab, string>> = {
  summary: "Summary",
  map: "RAM map",
  devices: "Devices",
  memory: "Memory",
  stream: "Stream",
  explain: "Explain",
  export: "Save",
};

interface Of {
  client: Client;
  opening: Opening;
  place: Place;
  move: (more: Partial<Place>) => void;
}

/** One file: its summary at once, the rest when the whole stream was read. */
export function FileView({ client, opening, place, move }: Of) {
  const inspected = useAnswer(() => client.ask("inspect"), [client]);
  const surveyed = useAnswer(() => client.ask("survey"), [client]);
  const tab = TABS.find((one) => one === place.tab) ?? "summary";
  const { value: summary } = inspected;
  return (
    <>
      <Refusal text={inspected.refusal} />
      {summary === undefined ? (
        <p>Reading ...</p>
      ) : (
        <Tabs {...{ client, opening, place, move, summary, tab }} survey={surveyed.value} refusal={surveyed.refusal} />
      )}
    </>
  );
}

interface Shown extends Of {
  tab: Tab;
  summary: Summary;
  survey: Survey | undefined;
  refusal: string | undefined;
}

function Tabs({ client, opening, place, move, tab, summary, survey, refusal }: Shown) {
  const [memory, setMemory] = useState<MemoryPlace>();
  const [at, setAt] = useState<number>();
  const [asked, setAsked] = useState<Asked>({ text: "" });
  const select = (event: KeyboardEvent): void => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    const next = TABS[(TABS.indexOf(tab) + by + TABS.length) % TABS.length]!;
    move({ tab: next });
    document.getElementById(`tab-${next}`)?.focus();
  };
  return (
    <>
      <div class="tabs" role="tablist" aria-label="Parts" onKeyDown={select}>
        {TABS.map((one) => (
          <button
            type="button"
            role="tab"
            id={`tab-${one}`}
            aria-selected={one === tab}
            aria-controls="panel"
            tabIndex={one === tab ? 0 : -1}
            onClick={() => move({ tab: one })}
          >
            {TITLES[one]}
          </button>
        ))}
      </div>
      <section id="panel" role="tabpanel" aria-labelledby={`tab-${tab}`}>
        <h2>{TITLES[tab]}</h2>
        {tab === "summary" && <SummaryTab {...{ opening, summary, survey }} />}
        {tab !== "summary" && survey === undefined && refusal === undefined && <p>The stream is being read ...</p>}
        <Refusal text={refusal} />
        {survey !== undefined && (
          <>
            {tab === "map" && (
              <MapTab
                {...{ client, opening, survey }}
                show={(block, offset) => {
                  setMemory({ space: `block ${block}`, at: BigInt(offset) });
                  move({ tab: "memory" });
                }}
              />
            )}
            {tab === "devices" && (
              <DevicesTab
                {...{ client, opening, survey }}
                find={place.find}
                setFind={(find) => move({ find })}
                showStream={(offset) => {
                  setAt(offset);
                  move({ tab: "stream" });
                }}
              />
            )}
            {tab === "memory" && <MemoryTab {...{ client, opening }} place={memory} go={setMemory} />}
            {tab === "stream" && <StreamTab {...{ client, opening, survey }} at={at ?? survey.start} go={setAt} />}
            {tab === "explain" && <ExplainTab {...{ client, opening, survey, asked, setAsked }} />}
            {tab === "export" && <ExportTab {...{ client, opening, survey }} />}
          </>
        )}
      </section>
    </>
  );
}

import { commandOf } from "../command.js";
import { Command, Lines } from "../parts.js";
import type { Opening, Summary, Survey } from "../protocol.js";

/** What the stream is, and whether it is whole: the text of `qevm inspect`. */
export function SummaryTab({
  opening,
  summary,
  survey,
}: {
  opening: Opening;
  summary: Summary;
  survey: Survey | undefined;
}) {
  return (
    <>
      <State summary={summary} survey={survey} />
      {summary.warnings.length > 0 && <Lines lines={summary.warnings} label="Warnings" />}
      <Lines lines={summary.lines} label="Summary" />
      <Command text={commandOf(opening, "inspect")} />
    </>
  );
}

function State({ summary, survey }: { summary: Summary; survey: Survey | undefined }) {
  if (survey === undefined) {
    return (
      <div class={`state ${summary.refused ? "bad" : "fair"}`} role="status">
        <strong>{summary.refused ? "Refused" : "The pages are being checked"}</strong>
      </div>
    );
  }
  const { damage } = survey;
  return (
    <div class={`state ${damage.length > 0 ? "bad" : "good"}`} role="status">
      <strong>{damage.length > 0 ? "Damaged" : "No damage found"}</strong>
      {damage.slice(0, 20).map((text) => (
        <p>{text}</p>
      ))}
      {damage.length > 20 && <p>and {damage.length - 20} more</p>}
    </div>
  );
}

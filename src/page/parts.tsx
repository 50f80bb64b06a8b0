/** Small pieces that every tab uses. */
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { fileSize, safe } from "../bytes/text.js";
import type { Progress } from "./client.js";

/** Lines as the program prints them. */
export function Lines({ lines, label }: { lines: readonly string[]; label: string }) {
  return (
    <pre class="lines" tabIndex={0} role="region" aria-label={label}>
      {lines.join("\n")}
    </pre>
  );
}

/** A command line with a button that copies it. */
export function Command({ text }: { text: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => setCopied(false), [text]);
  const copy = (): void => {
    void copyText(text).then(() => setCopied(true));
  };
  return (
    <p class="command">
      <code>{text}</code>{" "}
      <button type="button" onClick={copy} aria-label={`Copy the command ${text}`}>
        {copied ? "Copied" : "Copy"}
      </button>
    </p>
  );
}

/** Pages of files have no clipboard of their own: a selection is copied there. */
async function copyText(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

/** How far the work has come, with its rate and the time that is left. */
export function ProgressBar({ progress, cancel }: { progress: Progress; cancel: () => void }) {
  return (
    <div class="progress">
      <progress value={progress.done} max={Math.max(1, progress.total)} aria-label={progress.what} />
      <span>{progressText(progress, performance.now())}</span>{" "}
      <button type="button" onClick={cancel}>
        Cancel
      </button>
    </div>
  );
}

/** `reading: 1.2 GB of 16 GB (7 %), 1.1 GB/s, 14 s left` */
export function progressText({ what, done, total, since }: Progress, now: number): string {
  const seconds = (now - since) / 1000;
  const head = `${what}: ${fileSize(done)} of ${fileSize(total)} (${total === 0 ? 100 : Math.floor((100 * done) / total)} %)`;
  if (seconds < 1 || done === 0) return head;
  const rate = done / seconds;
  return `${head}, ${fileSize(Math.round(rate))}/s, ${Math.ceil((total - done) / rate)} s left`;
}

/** What went wrong, in the words of the program. */
export function Refusal({ text }: { text: string | undefined }) {
  return text === undefined ? null : (
    <p class="refusal" role="alert">
      {text}
    </p>
  );
}

/** A name from a stream. */
export function Name({ of }: { of: string }) {
  return <code>{safe(of)}</code>;
}

export function Field({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <label class="field">
      <span>{label}</span>
      {children}
    </label>
  );
}

/** An answer, and the question's own values: the view still shows the last answer while the next question is asked. */
interface Answer<T, W> {
  value?: T;
  refusal?: string;
  when: W;
}

/** What a question's answer is, while it is asked again whenever `when` changes. */
export function useAnswer<T, const W extends readonly unknown[]>(ask: () => Promise<T>, when: W): Answer<T, W> {
  const [answer, setAnswer] = useState<Answer<T, W>>({ when });
  useEffect(() => {
    let wanted = true;
    ask().then(
      (value) => wanted && setAnswer({ value, when }),
      (error: unknown) => wanted && setAnswer({ refusal: messageOf(error), when }),
    );
    return () => {
      wanted = false;
    };
    // oxlint-disable-next-line exhaustive-deps -- the question is the same as long as these are
  }, when);
  return answer;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** `0x1a2b` or a decimal number as an address; undefined: neither. */
export function addressIn(text: string): bigint | undefined {
  const trimmed = text.trim().replaceAll("_", "");
  if (!/^(?:0x[0-9a-f]+|[0-9]+)$/iu.test(trimmed) || trimmed.length > 20) return undefined;
  const address = BigInt(trimmed);
  return address < 1n << 64n ? address : undefined;
}

/** What is wrong with a text that `addressIn` does not take. */
export function noAddress(text: string): string {
  return `${safe(text)} is no address: 0x1a2b, or a decimal number below 2^64`;
}

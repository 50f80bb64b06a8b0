/** The worker of the page: it holds the file that was dropped, and answers one question after the other. */
import { sideOf } from "../analyse/diff/side.js";
import { diffStreams } from "../analyse/diff/diff.js";
import { diffLines } from "../analyse/text/diff.js";
import { printedDiff } from "../analyse/text/diff-document.js";
import { QevmError } from "../bytes/errors.js";
import { safe } from "../bytes/text.js";
import { inputOf } from "./file-bytes.js";
import type { Answer, Ask, Opening, Questions } from "./protocol.js";
import { DECODING, blobOf, refusedLines, Session, version } from "./session.js";

type Answers = { [Q in keyof Questions]: (...args: Parameters<Questions[Q]>) => unknown };

const scope = globalThis as unknown as {
  postMessage: (answer: Answer) => void;
  addEventListener: (type: "message", listener: (event: MessageEvent<Ask>) => void) => void;
};

let session: Session | undefined;
let current = 0;

function send(answer: Answer): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has none
  scope.postMessage(answer);
}

function tell(what: string, done: number, total: number): void {
  send({ id: current, what, done, total });
}

function opened(): Session {
  if (session === undefined) throw new QevmError("usage", "no file was opened");
  return session;
}

const answers: Answers = {
  look: (opening) => {
    session = new Session(opening, tell);
    return session.look();
  },
  inspect: () => opened().inspect(),
  survey: () => opened().survey(),
  explain: (text) => opened().explain(text),
  strip: (block, from, to, cells) => opened().strip(block, from, to, cells),
  device: (index) => opened().device(index),
  find: (text) => opened().find(text),
  memory: () => opened().memory(),
  read: (space, at, length) => opened().read(space, at, length),
  blockPiece: (name, at, length) => opened().read({ kind: "block", name }, String(at), length),
  streamAt: (at, length) => opened().streamAt(at, length),
  report: () => opened().report(),
  json: (which) => opened().json(which),
  diff,
};

async function diff(a: Opening, b: Opening): Promise<ReturnType<Questions["diff"]>> {
  const files = { a: safe(a.name), b: safe(b.name) };
  const snapshots = {
    ...(a.snapshot === undefined ? {} : { a: a.snapshot }),
    ...(b.snapshot === undefined ? {} : { b: b.snapshot }),
  };
  try {
    const inA = inputOf(a, "comparing A", tell);
    const inB = inputOf(b, "comparing B", tell);
    const found = await diffStreams(inA, inB, { ...DECODING, snapshots });
    const names = { a: a.name, b: b.name };
    const about = { qevm: version(), schema: "diff/1", file: null, container: null };
    return {
      lines: diffLines(files, found),
      different: found.verdict === "different",
      refused: false,
      document: blobOf(printedDiff(about, names, found)),
    };
  } catch (error) {
    const side = error instanceof QevmError ? sideOf(error) : undefined;
    if (side === undefined || !(error instanceof QevmError)) throw error;
    const { code, what, offset, path, expected, found } = error;
    const own = new QevmError(code, what, { offset, path: path.slice(1), expected, found });
    return { lines: refusedLines("diff", files[side], own), different: true, refused: true, document: undefined };
  }
}

/** One after the other: answers use the same file and the same memory. */
let last: Promise<void> = Promise.resolve();

scope.addEventListener("message", ({ data: { id, question, args } }) => {
  last = last.then(async () => {
    current = id;
    try {
      const answer = answers[question] as (...given: unknown[]) => unknown;
      send({ id, value: await answer(...args) });
    } catch (error) {
      const refusal = error instanceof QevmError ? error.message : `an error of this page: ${String(error)}`;
      if (!(error instanceof QevmError)) console.error(error);
      send({ id, refusal });
    }
  });
});

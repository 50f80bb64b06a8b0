/** The worker of the page: it holds the file that was dropped, and answers one question after the other. */
import { inStream, sideOf } from "../analyse/diff/side.js";
import type { Side } from "../analyse/diff/types.js";
import { diffStreams } from "../analyse/diff/diff.js";
import { diffLines } from "../analyse/text/diff.js";
import { printedDiff } from "../analyse/text/diff-document.js";
import { QevmError } from "../bytes/errors.js";
import { safe } from "../bytes/text.js";
import { openInput } from "../io/container/input.js";
import type { Input } from "../io/container/types.js";
import { inputOf } from "./file-bytes.js";
import type { Answer, Ask, Opening, Questions } from "./protocol.js";
import { DECODING, blobOf, openedAgain, refusedLines, Session, version } from "./session.js";

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
  try {
    const open = async (of: Opening, side: Side, what: string): Promise<Input> => {
      const more = { snapshot: of.snapshot, stream: DECODING };
      return await inStream(side, () => openedAgain((now) => openInput(inputOf(of, now, tell), more), what));
    };
    const inA = await open(a, "a", "comparing A");
    const inB = await open(b, "b", "comparing B");
    const found = await diffStreams(inA, inB, DECODING);
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

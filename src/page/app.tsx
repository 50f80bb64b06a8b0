/** The page: a file is dropped, a worker reads it, tabs show what it found. */
import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { safe } from "../bytes/text.js";
import { Client, type MakeWorker, type Progress } from "./client.js";
import { DiffView } from "./diff.js";
import { FileView } from "./file-view.js";
import { placeHash, readPlace, type Place } from "./fragment.js";
import { chosenFiles, chosenFolder, droppedItems } from "./dropped.js";
import { Field, messageOf, ProgressBar, Refusal, useAnswer } from "./parts.js";
import type { Dropped, Opening } from "./protocol.js";

declare const PROGRAM: string;

/** Shows the page in an element. */
export function start(element: Element, make: MakeWorker): void {
  render(<App make={make} />, element);
}

function App({ make }: { make: MakeWorker }) {
  const [files, setFiles] = useState<readonly Dropped[]>([]);
  const [place, setPlace] = useState<Place>(() => readPlace(location.hash));
  const move = (more: Partial<Place>): void => {
    const next = { ...place, ...more };
    setPlace(next);
    history.replaceState(undefined, "", placeHash(next));
  };
  useEffect(() => {
    const moved = (): void => setPlace(readPlace(location.hash));
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  const [problem, setProblem] = useState<string>();
  const take = (dropped: readonly Dropped[]): void => {
    setProblem(undefined);
    setFiles(dropped);
  };
  useDrop(take, setProblem);
  return (
    <>
      <header>
        <h1>qevm</h1>
        <p class="dim">What is in a file that QEMU or libvirt saved. Nothing of it leaves this computer.</p>
        <Choose {...{ files, take }} />
      </header>
      <main>
        <Refusal text={problem} />
        {files.length > 0 && <Opened key={keyOf(files)} {...{ files, make, place, move }} close={() => setFiles([])} />}
      </main>
      <footer>
        {PROGRAM}. The same in a terminal: <code>qevm --help</code>
      </footer>
    </>
  );
}

let opened = 0;
const keys = new WeakMap<readonly Dropped[], number>();

/** A choice of files is a page of its own. */
function keyOf(files: readonly Dropped[]): number {
  const key = keys.get(files) ?? ++opened;
  keys.set(files, key);
  return key;
}

/** Files and folders may be dropped anywhere. */
function useDrop(take: (files: readonly Dropped[]) => void, refuse: (why: string) => void): void {
  useEffect(() => {
    const over = (event: DragEvent): void => event.preventDefault();
    const drop = (event: DragEvent): void => {
      event.preventDefault();
      droppedItems(event.dataTransfer).then(
        (files) => files.length > 0 && take(files),
        (error: unknown) => refuse(messageOf(error)),
      );
    };
    addEventListener("dragover", over);
    addEventListener("drop", drop);
    return () => {
      removeEventListener("dragover", over);
      removeEventListener("drop", drop);
    };
  }, []);
}

interface Taking {
  files: readonly Dropped[];
  take: (files: readonly Dropped[]) => void;
}

function Choose({ files, take }: Taking) {
  const chosen = (dropped: readonly Dropped[]): void => {
    if (dropped.length > 0) take(dropped);
  };
  return (
    <div class={`choose ${files.length > 0 ? "small" : ""}`}>
      <label>
        <span>
          Drop a file here or choose one: a migration stream, a libvirt save, a qcow2 image with snapshots, plain or
          compressed (gzip, zstd, xz, bzip2, lz4, lzop). Two files are compared.
        </span>
        <input type="file" multiple onChange={(event) => chosen(chosenFiles(event.currentTarget.files))} />
      </label>
      <label>
        <span>Or a folder: a recording of a migration with several connections.</span>
        <input
          type="file"
          {...{ webkitdirectory: true }}
          onChange={(event) => chosen(chosenFolder(event.currentTarget.files))}
        />
      </label>
    </div>
  );
}

interface Of {
  files: readonly Dropped[];
  make: MakeWorker;
  place: Place;
  move: (more: Partial<Place>) => void;
  close: () => void;
}

/** One file or two, with a worker of their own. */
function Opened({ files, make, place, move, close }: Of) {
  const [progress, setProgress] = useState<Progress>();
  const client = useRef<Client | undefined>(undefined);
  client.current ??= new Client(make, setProgress);
  const worker = client.current;
  useEffect(() => () => worker.end(), []);
  const [first, second] = files as [Dropped, Dropped | undefined];
  const cancel = (): void => {
    worker.end();
    close();
  };
  return (
    <section aria-label={files.map((file) => file.name).join(" and ")}>
      {progress !== undefined && <ProgressBar progress={progress} cancel={cancel} />}
      {second === undefined ? (
        <Snapshot dropped={first} worker={worker}>
          {(opening) => <FileView {...{ opening, place, move }} client={worker} />}
        </Snapshot>
      ) : (
        <DiffView client={worker} a={first} b={second} />
      )}
    </section>
  );
}

interface Chosen {
  dropped: Dropped;
  worker: Client;
  children: (opening: Opening) => preact.ComponentChild;
}

/** A qcow2 image may hold several saved states: which one is asked. */
function Snapshot({ dropped, worker, children }: Chosen) {
  const [snapshot, setSnapshot] = useState<string>();
  const { value: look, refusal } = useAnswer(() => worker.ask("look", dropped), [worker]);
  const [opening, setOpening] = useState<Opening>();
  const [failed, setFailed] = useState<string>();
  useEffect(() => {
    if (look === undefined) return;
    if (look.snapshots.length < 2) return setOpening(dropped);
    if (snapshot === undefined) return;
    const wanted = { ...dropped, snapshot };
    worker.ask("look", wanted).then(
      () => setOpening(wanted),
      (error: unknown) => setFailed(messageOf(error)),
    );
  }, [look, snapshot]);
  return (
    <>
      <Refusal text={refusal ?? failed} />
      {look !== undefined && look.snapshots.length > 1 && (
        <Field label="Snapshot">
          <select value={snapshot ?? ""} onChange={(event) => setSnapshot(event.currentTarget.value)}>
            <option value="" disabled>
              choose one of {look.snapshots.length}
            </option>
            {look.snapshots.map(({ id, name, date, size }) => (
              <option value={id}>
                {safe(name)}, {date}, {size}
              </option>
            ))}
          </select>
        </Field>
      )}
      {opening !== undefined && <div key={opening.snapshot}>{children(opening)}</div>}
    </>
  );
}

/** The page: a file is dropped, a worker reads it, tabs show what it found. */
import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Client, type MakeWorker, type Progress } from "./client.js";
import { DiffView } from "./diff.js";
import { FileView } from "./file-view.js";
import { placeHash, readPlace, type Place } from "./fragment.js";
import type { Opening } from "./protocol.js";
import { ProgressBar, useAnswer } from "./parts.js";
import { messageOf } from "./parts.js";
import { Field, Refusal } from "./parts.js";

declare const PROGRAM: string;

/** Shows the page in an element. */
export function start(element: Element, make: MakeWorker): void {
  render(<App make={make} />, element);
}

function App({ make }: { make: MakeWorker }) {
  const [files, setFiles] = useState<readonly File[]>([]);
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
  useDrop(setFiles);
  return (
    <>
      <header>
        <h1>qevm</h1>
        <p class="dim">What is in a file that QEMU or libvirt saved. Nothing of it leaves this computer.</p>
        <Choose {...{ files, setFiles }} />
      </header>
      <main>
        {files.length > 0 && <Opened key={keyOf(files)} {...{ files, make, place, move }} close={() => setFiles([])} />}
      </main>
      <footer>
        {PROGRAM}. The same in a terminal: <code>qevm --help</code>
      </footer>
    </>
  );
}

let opened = 0;
const keys = new WeakMap<readonly File[], number>();

/** A choice of files is a page of its own. */
function keyOf(files: readonly File[]): number {
  const key = keys.get(files) ?? ++opened;
  keys.set(files, key);
  return key;
}

/** Files may be dropped anywhere. */
function useDrop(take: (files: readonly File[]) => void): void {
  useEffect(() => {
    const over = (event: DragEvent): void => event.preventDefault();
    const drop = (event: DragEvent): void => {
      event.preventDefault();
      const files = [...(event.dataTransfer?.files ?? [])].slice(0, 2);
      if (files.length > 0) take(files);
    };
    addEventListener("dragover", over);
    addEventListener("drop", drop);
    return () => {
      removeEventListener("dragover", over);
      removeEventListener("drop", drop);
    };
  }, []);
}

function Choose({ files, setFiles }: { files: readonly File[]; setFiles: (files: readonly File[]) => void }) {
  const input = useRef<HTMLInputElement>(null);
  const chosen = (): void => {
    const list = [...(input.current?.files ?? [])].slice(0, 2);
    if (list.length > 0) setFiles(list);
  };
  return (
    <label class={`choose ${files.length > 0 ? "small" : ""}`}>
      <span>
        Drop a file here or choose one: a migration stream, a libvirt save, a qcow2 image with snapshots, plain or
        compressed (gzip, zstd, xz, bzip2, lz4, lzop). Two files are compared.
      </span>
      <input ref={input} type="file" multiple onChange={chosen} />
    </label>
  );
}

interface Of {
  files: readonly File[];
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
  const [first, second] = files as [File, File | undefined];
  const cancel = (): void => {
    worker.end();
    close();
  };
  return (
    <section aria-label={files.map((file) => file.name).join(" and ")}>
      {progress !== undefined && <ProgressBar progress={progress} cancel={cancel} />}
      {second === undefined ? (
        <Snapshot file={first} worker={worker}>
          {(opening) => <FileView {...{ opening, place, move }} client={worker} />}
        </Snapshot>
      ) : (
        <DiffView client={worker} a={{ file: first }} b={{ file: second }} />
      )}
    </section>
  );
}

interface Chosen {
  file: File;
  worker: Client;
  children: (opening: Opening) => preact.ComponentChild;
}

/** A qcow2 image may hold several saved states: which one is asked. */
function Snapshot({ file, worker, children }: Chosen) {
  const [snapshot, setSnapshot] = useState<string>();
  const { value: look, refusal } = useAnswer(() => worker.ask("look", { file }), [worker]);
  const [opening, setOpening] = useState<Opening>();
  const [failed, setFailed] = useState<string>();
  useEffect(() => {
    if (look === undefined) return;
    if (look.snapshots.length < 2) return setOpening({ file });
    if (snapshot === undefined) return;
    const wanted = { file, snapshot };
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
                {name}, {date}, {size}
              </option>
            ))}
          </select>
        </Field>
      )}
      {opening !== undefined && <div key={opening.snapshot}>{children(opening)}</div>}
    </>
  );
}

/** What was chosen or dropped, as files and folders. A folder is a recording: what is in folders inside it is not read. */
import type { Dropped } from "./protocol.js";

/** How many are taken: two are compared. */
const MOST = 2;
/** Files of a folder that are taken; a recording has one for each connection. */
const MOST_FILES = 10_000;

export function chosenFiles(files: Iterable<File> | null): Dropped[] {
  return [...(files ?? [])].slice(0, MOST).map((file) => ({ name: file.name, files: [file], isFolder: false }));
}

/** The files of a folder that was chosen: `webkitRelativePath` begins with its name. */
export function chosenFolder(files: Iterable<File> | null): Dropped[] {
  const list = [...(files ?? [])].map((file) => ({ file, path: file.webkitRelativePath.split("/") }));
  const name = list[0]?.path[0];
  if (name === undefined) return [];
  const inside = list.filter(({ path }) => path.length === 2).map(({ file }) => file);
  return [{ name, files: inside.slice(0, MOST_FILES), isFolder: true }];
}

/** Chromium's; a page that is a file cannot read a dropped folder by `webkitGetAsEntry`. */
interface Handled {
  getAsFileSystemHandle?: () => Promise<{ kind: string } | null>;
}

/** A folder of the File System Access API. */
interface Folder {
  kind: "directory";
  name: string;
  values(): AsyncIterable<Folder | { kind: "file"; getFile: () => Promise<File> }>;
}

/** What was dropped. It must be called before the event is over. Errors: those of the browser's file system. */
export async function droppedItems(data: DataTransfer | null): Promise<Dropped[]> {
  const items = [...(data?.items ?? [])].filter((item) => item.kind === "file").slice(0, MOST);
  const found = items.map((item): Promise<Dropped[]> => {
    const entry = item.webkitGetAsEntry();
    if (entry?.isDirectory === true) {
      const handle = (item as Handled).getAsFileSystemHandle?.();
      return handle === undefined ? entryFiles(entry as FileSystemDirectoryEntry) : handleFiles(handle);
    }
    const file = item.getAsFile();
    return Promise.resolve(file === null ? [] : chosenFiles([file]));
  });
  return (await Promise.all(found)).flat();
}

async function handleFiles(asked: Promise<{ kind: string } | null>): Promise<Dropped[]> {
  const folder = (await asked) as Folder;
  const files: File[] = [];
  for await (const handle of folder.values()) {
    if (handle.kind === "file") files.push(await handle.getFile());
    if (files.length === MOST_FILES) break;
  }
  return [{ name: folder.name, files, isFolder: true }];
}

async function entryFiles(folder: FileSystemDirectoryEntry): Promise<Dropped[]> {
  const reader = folder.createReader();
  const files: File[] = [];
  // A browser gives a hundred at a time, and none at the end.
  while (files.length < MOST_FILES) {
    const entries = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) break;
    for (const entry of entries) {
      if (!entry.isFile) continue;
      files.push(await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject)));
    }
  }
  return [{ name: folder.name, files, isFolder: true }];
}

/** Files that leave the page: by the File System Access API where there is one, else as downloads. */
import type { Client } from "./client.js";

interface Place {
  createWritable: () => Promise<WritableStream<Uint8Array>>;
}

interface Picker {
  showSaveFilePicker?: (options: { suggestedName: string }) => Promise<Place>;
}

/**
 * Saves what is made after the place was chosen: a browser lets a page ask for one only shortly after a click. False:
 * none was chosen. Errors: those of the making; of the file system.
 */
export async function saveAs(name: string, make: () => Promise<Blob>): Promise<boolean> {
  const place = await askPlace(fileName(name));
  if (place === "cancelled") return false;
  const blob = await make();
  if (place === undefined) download(fileName(name), blob);
  else await blob.stream().pipeTo(await place.createWritable());
  return true;
}

/** Bytes of a block that are asked for at a time. */
const PIECE = 1 << 20;

/** A RAM block as a raw file, a piece at a time. False: no place was chosen. Errors: those of the pages; as `saveAs`. */
export async function saveBlock(
  client: Client,
  { name, length }: { name: string; length: number },
  tell: (done: number) => void,
): Promise<boolean> {
  const suggested = `${fileName(name)}.raw`;
  const place = await askPlace(suggested);
  if (place === "cancelled") return false;
  let at = 0;
  const pieces = new ReadableStream<Uint8Array>({
    async pull(to) {
      if (at >= length) return to.close();
      const { bytes } = await client.ask("blockPiece", name, at, Math.min(PIECE, length - at));
      to.enqueue(bytes);
      at += bytes.length;
      tell(at);
    },
  });
  if (place === undefined) download(suggested, await blobOf(pieces));
  else await pieces.pipeTo(await place.createWritable());
  return true;
}

/** A blob for each piece: the browser keeps them outside of the tab's memory. */
async function blobOf(pieces: ReadableStream<Uint8Array>): Promise<Blob> {
  const parts: Blob[] = [];
  await pieces.pipeTo(
    new WritableStream({ write: (bytes) => void parts.push(new Blob([bytes as Uint8Array<ArrayBuffer>])) }),
  );
  return new Blob(parts);
}

/** Where to save; undefined: the browser cannot be asked, so it is a download. */
async function askPlace(suggestedName: string): Promise<Place | "cancelled" | undefined> {
  const { showSaveFilePicker } = globalThis as Picker;
  try {
    return await showSaveFilePicker?.({ suggestedName });
  } catch (error) {
    return error instanceof DOMException && error.name === "AbortError" ? "cancelled" : undefined;
  }
}

function download(name: string, blob: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** A name without what a file system or a browser takes otherwise. */
function fileName(name: string): string {
  return name.replaceAll(/[^\w.@+-]+/gu, "_").slice(-120);
}

/** Files that leave the page: by the File System Access API where there is one, else as downloads. */
import type { Client } from "./client.js";
import type { Made } from "./protocol.js";

interface Picker {
  showSaveFilePicker?: (options: { suggestedName: string }) => Promise<{
    createWritable: () => Promise<WritableStream<Uint8Array> & { abort: () => Promise<void> }>;
  }>;
}

export function download({ name, blob }: Made): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = fileName(name);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** A name without what a file system or a browser takes otherwise. */
function fileName(name: string): string {
  return name.replaceAll(/[^\w.@+-]+/gu, "_").slice(-120);
}

const PIECE = 1 << 20;

/** A RAM block as a raw file, a piece at a time. Errors: those of the pages. */
export async function saveBlock(
  client: Client,
  { name, length }: { name: string; length: number },
  tell: (done: number) => void,
): Promise<void> {
  const suggestedName = `${fileName(name)}.raw`;
  const { showSaveFilePicker } = globalThis as Picker;
  const pieces = async (write: (bytes: Uint8Array) => void | Promise<void>): Promise<void> => {
    for (let at = 0; at < length; at += PIECE) {
      const { bytes } = await client.ask("blockPiece", name, at, Math.min(PIECE, length - at));
      await write(bytes);
      tell(Math.min(length, at + PIECE));
    }
  };
  if (showSaveFilePicker === undefined) {
    const parts: Blob[] = [];
    await pieces((bytes) => void parts.push(new Blob([bytes as Uint8Array<ArrayBuffer>])));
    download({ name: suggestedName, blob: new Blob(parts) });
    return;
  }
  const file = await showSaveFilePicker({ suggestedName });
  const writable = await file.createWritable();
  const writer = writable.getWriter();
  try {
    await pieces((bytes) => writer.write(bytes));
    await writer.close();
  } catch (error) {
    await writer.abort(error).catch(() => undefined);
    throw error;
  }
}

/** The script of the page that is one file: the worker's text is in the page, packed. */
import { start } from "./app.js";

async function workerAddress(): Promise<string> {
  const text = document.getElementById("worker")!.textContent;
  const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = await new Response(stream).blob();
  return URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
}

const address = await workerAddress();
start(document.getElementById("page")!, () => new Worker(address));

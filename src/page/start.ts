/** The script of the static folder: the worker is a file beside it. */
import { start } from "./app.js";

// A worker from a blob has the policy of the page; one from an address has the one that the server sends, or none.
const script = `importScripts(${JSON.stringify(new URL("worker.js", location.href).href)})`;
const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
start(document.getElementById("page")!, () => new Worker(address));

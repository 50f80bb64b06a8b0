/** The script of the static folder: the worker is a file beside it. */
import { start } from "./app.js";

start(document.getElementById("page")!, () => new Worker("worker.js"));

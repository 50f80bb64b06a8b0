import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openOutput } from "../io/transport/output.js";
import { parse } from "./arguments.js";
import { outOf } from "./out.js";
import { fileSize, print, safe } from "./output.js";

/** Places of the page: as the modules see it, and as the program's bundle does. */
const SHIPPED = ["../../page/qevm.html", "../page/qevm.html"];

/** `qevm page --out qevm.html`. */
export async function run(argv: string[]): Promise<number> {
  const args = parse("page", argv, [0, 0], "no FILE");
  const out = outOf(args, [], { stdout: true, text: true });
  const output = openOutput(out);
  try {
    const page = shipped();
    await output.write(page);
    output.commit();
    if (out !== "-") print([`${safe(out)}: ${fileSize(page.length)}`]);
  } finally {
    output.abort();
  }
  return 0;
}

function shipped(): Uint8Array {
  const here = fileURLToPath(import.meta.url).endsWith("page.cjs") ? SHIPPED[1] : SHIPPED[0];
  return readFileSync(new URL(here!, import.meta.url));
}

/** Results of cells in a file, one line of JSON each, so that a run that was stopped loses nothing. */
import { existsSync, readFileSync } from "node:fs";

/** The cells whose last line in a file says that they passed. */
export function passedIn(path: string): ReadonlySet<string> {
  const passed = new Set<string>();
  if (path === "" || !existsSync(path)) return passed;
  for (const line of readFileSync(path, "utf8").split("\n")) {
    if (line === "") continue;
    const result = JSON.parse(line) as { cell: string; passed: boolean };
    if (result.passed) passed.add(result.cell);
    else passed.delete(result.cell);
  }
  return passed;
}

import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The version in the package's own package.json; "unknown" where the program is without it. */
export function version(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const place = join(folder, "package.json");
    const parsed: unknown = existsSync(place) ? JSON.parse(readFileSync(place, "utf8")) : undefined;
    if (isOurs(parsed)) return parsed.version;
    if (dirname(folder) === folder) return "unknown";
  }
}

function isOurs(parsed: unknown): parsed is { version: string } {
  if (typeof parsed !== "object" || parsed === null || !("name" in parsed) || !("version" in parsed)) return false;
  return parsed.name === "qevm" && typeof parsed.version === "string";
}

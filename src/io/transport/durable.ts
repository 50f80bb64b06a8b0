import { closeSync, fsyncSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { attempt } from "./attempt.js";

/** Waits until the disk has stored a file, or the names in a folder. Errors: io. */
export function syncPath(path: string): void {
  attempt(path, () => {
    const fd = openSync(path, "r");
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  });
}

/** Waits until the disk has stored the name of a file or folder. Errors: io. */
export function syncName(path: string): void {
  syncPath(dirname(path));
}

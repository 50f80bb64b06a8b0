/** Stands for `node:path`: what a name is made of. */

/** The last part of a path. */
export function basename(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Parts of a path put together. */
export function join(...parts: string[]): string {
  return parts.join("/");
}

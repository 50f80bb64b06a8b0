/**
 * Stands for modules of Node and those that only paths of files lead to: a page has no paths. Every name of theirs is
 * this function.
 */
import { QevmError } from "../../bytes/errors.js";

/** Errors: usage, always. */
export function unreachable(): never {
  throw new QevmError("usage", "there are no paths in a browser");
}

import type { ErrorCode, QevmError } from "../bytes/errors.js";

/**
 * Exit statuses, as `diff` and `grep` have them. 0: done, the same, sound. 1: an answer, and it is bad news: the input is
 * wrong or damaged, something was skipped, two streams differ. 2: no answer: usage, files, peers, limits.
 */
export type Status = 0 | 1 | 2;

/** Errors after which nothing is known of the input; all others say what is wrong with it. */
const NO_ANSWER: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["usage", "io", "limit", "unsupported"]);

/** Commands whose stream comes from a peer: one that ends early is a lost peer, no damaged file. */
const LIVE: ReadonlySet<string> = new Set(["receive", "relay"]);

/**
 * The exit status of an error that ends a command, or its work on one file.
 * @param command its name
 */
export function statusOf({ code }: QevmError, command = ""): Status {
  if (code === "truncated" && LIVE.has(command)) return 2;
  return NO_ANSWER.has(code) ? 2 : 1;
}

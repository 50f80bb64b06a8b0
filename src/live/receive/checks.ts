/**
 * What is waited for by checks and not by time: data and connections may wait to be read while this process is
 * suspended.
 */

/** Interval in milliseconds between two checks. */
export const LOOK = 20;

/**
 * Checks after which connections that are not identified are no longer waited for at the beginning or end of a
 * migration: new ones that send a byte now and then may come for ever.
 */
export const STRANGERS = 100;

/** Returns how many checks in a row have seen the same as the one before; undefined is never the same. */
export function countSame(): (seen: number | undefined) => number {
  let before: number | undefined;
  let same = 0;
  return (seen) => {
    same = seen !== undefined && seen === before ? same + 1 : 0;
    before = seen;
    return same;
  };
}

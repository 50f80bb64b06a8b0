import type { ChannelRole } from "../../io/recording/index.js";

/** What of a channel tells whether it belongs to a migration. */
interface Known {
  readonly role: ChannelRole;
  /** Of a multifd channel. */
  readonly id: number | undefined;
  readonly uuid: string | undefined;
}

/**
 * Why a connection does not belong to a migration that has the channels `others`; undefined if it does.
 *
 * @param postcopy whether the migration may switch to postcopy
 */
export function whyForeign({ role, id, uuid }: Known, others: readonly Known[], postcopy: boolean): string | undefined {
  if (leads(role)) return others.some((one) => leads(one.role)) ? SECOND_MAIN : undefined;
  const same = others.filter((one) => one.role === role);
  if (role === "preempt") {
    if (!postcopy) return "it is a preempt channel, and this migration has none";
    return same.length > 0 ? "it is a second preempt channel" : undefined;
  }
  if (same.some((one) => one.uuid !== uuid)) return OTHER_GUEST;
  return same.some((one) => one.id === id) ? anotherOf(id) : undefined;
}

/** Whether it is the channel that the others go with. */
export function leads(role: ChannelRole): boolean {
  return role === "main" || role === "resumed";
}

export const SECOND_MAIN = "it is a second main channel";
export const OTHER_GUEST = "it is a multifd channel of another guest";

/** The reason against a second multifd channel of one id. */
export function anotherOf(id: number | undefined): string {
  return `it is another multifd channel ${id}`;
}

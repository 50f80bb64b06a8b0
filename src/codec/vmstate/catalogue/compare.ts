import { toPlain } from "../plain.js";
import { deviceSpans, pathOf, valueAt, type Span } from "../spans.js";
import type { DeviceState } from "../state.js";

/**
 * Values of the first of several readings of a device that another reading does not have: under the same path, from the
 * same bytes. An element of an array counts for all of them.
 * @param offset absolute offset of the payload, which is `length` bytes long
 */
export function disagreement(
  states: readonly DeviceState[],
  offset: number,
  length: number,
): { fields: string[]; bytes: number } {
  const [first, ...others] = states.map((state) => ({ state, spans: deviceSpans(state, offset, length) }));
  const fields = new Set<string>();
  for (const { state, spans } of others) {
    const at = new Map(spans.map((span) => [span.from, span]));
    for (const span of first!.spans) {
      const other = at.get(span.from);
      if (other === undefined || !isSame(first!.state, span, state, other)) fields.add(anyElement(span));
    }
  }
  let bytes = 0;
  for (const span of first!.spans) if (fields.has(anyElement(span))) bytes += span.to - span.from;
  return { fields: [...fields], bytes };
}

/** The path of a value, with `[]` for the place in an array: the form in which {@link disagreement} gives it. */
export function anyElement({ steps }: Span): string {
  return pathOf(steps.map((step) => (/^\[\d+\]$/u.test(step) ? "[]" : step)));
}

/** Whether a value has the same path, bytes and value in another reading. */
export function isSame(state: DeviceState, one: Span, otherState: DeviceState, other: Span): boolean {
  if (one.to !== other.to || one.steps.length !== other.steps.length) return false;
  if (one.steps.some((step, at) => step !== other.steps[at])) return false;
  const [value, otherValue] = [valueAt(state, one.steps), valueAt(otherState, other.steps)];
  if (value === undefined || otherValue === undefined) return value === otherValue;
  return JSON.stringify(toPlain(value)) === JSON.stringify(toPlain(otherValue));
}

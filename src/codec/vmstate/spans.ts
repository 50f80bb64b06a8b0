import { QemuFileWriter } from "../../bytes/index.js";
import { encodeDevice } from "./device.js";
import { isRecordValue, isStructState, isTreeNode, type DeviceState, type FieldValue } from "./state.js";

/** Where one value of a device is. */
export interface Span {
  /** Its path, as the encoder gives it: names of fields, `[3]`, `subsection "name"`. */
  readonly steps: readonly string[];
  /** Absolute offset of its first byte. */
  readonly from: number;
  /** Absolute offset after its last byte. */
  readonly to: number;
}

/**
 * Where each value of a device is, in their order and without gaps: the deepest of those that begin at a byte.
 * Values of no bytes are left out.
 * @param offset absolute offset of the payload
 * @param length its bytes
 * @param at only the value that contains this absolute offset
 */
export function deviceSpans(state: DeviceState, offset: number, length: number, at?: number): Span[] {
  const found: Span[] = [];
  let open: { steps: readonly string[]; from: number } | undefined;
  const close = (to: number): void => {
    if (open !== undefined && to > open.from && (at === undefined || (open.from <= at && at < to)))
      found.push({ ...open, to });
  };
  const writer = new QemuFileWriter({ write: () => undefined }, undefined, offset);
  encodeDevice(writer, state, (path, from) => {
    close(from);
    open = at !== undefined && from > at ? undefined : { steps: path.slice(1), from };
  });
  close(offset + length);
  return found;
}

/** The value at a path of the encoder; undefined for what is not a value: a marker, the head of a subsection. */
export function valueAt(state: DeviceState, steps: readonly string[]): FieldValue | undefined {
  let value: FieldValue | undefined = state;
  for (const step of steps) {
    const index = /^\[(\d+)\]$/u.exec(step)?.[1];
    if (Array.isArray(value)) value = index === undefined ? undefined : (value as readonly FieldValue[])[Number(index)];
    else if (isStructState(value)) {
      const name = /^subsection "(.*)"$/su.exec(step)?.[1];
      value =
        name === undefined
          ? value.fields[step]
          : value.subsections.find(({ description }) => description.vmsdName === name);
    } else if (isTreeNode(value)) value = undefined;
    else if (isRecordValue(value)) value = value.record[step];
    else return undefined;
  }
  return value;
}

/** `env.regs[3]`, `subsections.cpu/xsave.env.xcr0`: a path of the encoder as `devices` prints it after `fields.`. */
export function pathOf(steps: readonly string[]): string {
  let path = "";
  for (const step of steps) {
    const name = /^subsection "(.*)"$/su.exec(step)?.[1];
    const shown = name === undefined ? step : `subsections.${name}`;
    path += path === "" || shown.startsWith("[") ? shown : `.${shown}`;
  }
  return path;
}

import { QevmError } from "../../bytes/errors.js";
import { MemorySink, QemuFileWriter } from "../../bytes/index.js";
import { parseExactJson } from "../../bytes/exact-json.js";
import { didYouMean } from "../../bytes/nearest.js";
import type { SectionContent, SectionItem, StreamItem } from "../../codec/stream/index.js";
import {
  deviceFromPlain,
  deviceToPlain,
  encodeDevice,
  plainPaths,
  setPlainValue,
  type PlainDevice,
  type PlainValue,
} from "../../codec/vmstate/index.js";

/** Values by what names them: `cpu/0:env.eip`, or `cpu:env.eip` for instance 0. */
export type DeviceValues = readonly (readonly [name: string, value: string])[];

/** A device value that was not changed, and why. */
export interface NotSet {
  /** `serial:state.scr`. */
  name: string;
  why: string;
}

/** Device values that a stream gets in place of its own. */
export class DeviceChanges {
  /**
   * Values that a live migration has left as they were: up to 10.1, a source whose package does not arrive can neither
   * go on with its guest nor recover, so that the guest is worth more than its new values.
   */
  readonly notSet: NotSet[] = [];
  private readonly names = new Set<string>();
  /** The length of a package is written before its sections. */
  private packaged = false;
  private switching = false;
  private readonly changes: { device: string; path: string; value: string; used: boolean }[];

  /**
   * @param values as `qevm devices --json` shows them
   * @param where what has no such device, for errors
   *
   * Errors: usage, for a name that has no device or no field.
   */
  constructor(
    values: DeviceValues,
    private readonly where: string,
  ) {
    this.changes = values.map(([key, value]) => {
      // Section names may contain colons (PCI paths): the field begins after the last one.
      const at = key.lastIndexOf(":");
      if (at < 1 || at === key.length - 1) {
        throw new QevmError("usage", `--set takes DEVICE:FIELD=VALUE, not ${JSON.stringify(key)}`);
      }
      return { device: key.slice(0, at), path: key.slice(at + 1), value, used: false };
    });
  }

  /**
   * Changes the item if it is a section that gets values. Called with every item in order, before it is written: where
   * something is missing, the error comes before the end by which a destination starts its guest. Errors: as `apply`
   * and `check`, until a package of a live migration has come.
   */
  item(item: StreamItem, live: boolean): void {
    if (this.changes.length === 0) return;
    try {
      this.change(item);
    } catch (error) {
      if (!this.switching || !live || !(error instanceof QevmError)) throw error;
      const place = item.kind === "section" ? item : undefined;
      for (const change of this.changes) {
        if (change.used || (place !== undefined && !isOf(change.device, place))) continue;
        change.used = true;
        this.notSet.push({ name: `${change.device}:${change.path}`, why: error.message });
      }
    }
  }

  private change(item: StreamItem): void {
    if (item.kind === "package-end" || (item.kind === "command" && item.name === "PACKAGED")) {
      this.packaged = item.kind === "command";
      this.switching = true;
    }
    if (item.kind === "section") {
      const content = this.apply(item);
      if (this.packaged && content !== item.content) checkLength(item, content);
      item.content = content;
    } else if (item.kind === "opaque") this.check(item.reason);
    else if (item.kind === "eof" || (item.kind === "command" && item.name === "POSTCOPY_RUN")) this.check();
  }

  /**
   * The content of a section with its new values; the same where it has none. Errors: usage for an unknown field;
   * does-not-fit; unsupported where it is not known for certain which bytes the field is.
   */
  apply(item: SectionItem): SectionContent {
    const { idstr, instanceId, content, offset } = item;
    this.names.add(idstr).add(`${idstr}/${instanceId}`);
    const mine = this.changes.filter(({ device, used }) => !used && isOf(device, item));
    if (mine.length === 0) return content;
    const [{ device }] = mine as [(typeof mine)[0]];
    if (content.kind !== "device") {
      const why = content.kind === "opaque" ? content.reason : "it has no single values";
      throw new QevmError("unsupported", `no value of ${JSON.stringify(device)} can be set: ${why}`, { offset });
    }
    const plain = deviceToPlain(content.state);
    for (const change of mine) {
      if (!setPlainValue(plain, change.path, parsed(change.value))) throw noField(plain, change);
      if (isUncertain(content, change.path)) {
        const what = `device ${change.device}: the catalogue does not know for certain where ${change.path} is`;
        throw new QevmError("unsupported", what, { offset, expected: "a --schema FILE of the same QEMU and machine" });
      }
    }
    const state = deviceFromPlain(content.state.description, plain);
    for (const change of mine) change.used = true;
    return { ...content, state };
  }

  /**
   * All devices have come. Errors: usage where one was not there.
   * @param reason why what follows is not decoded: unsupported
   */
  check(reason?: string): void {
    const unused = this.changes.find(({ used }) => !used);
    if (unused === undefined) return;
    if (reason !== undefined) {
      throw new QevmError("unsupported", `no value of ${JSON.stringify(unused.device)} can be set: ${reason}`);
    }
    const near = didYouMean(unused.device, [...this.names]);
    throw new QevmError("usage", `${this.where} has no device ${JSON.stringify(unused.device)}${near}`);
  }
}

/** Whether a name, with or without its instance, is that of the section. */
function isOf(device: string, { idstr, instanceId }: SectionItem): boolean {
  return device === `${idstr}/${instanceId}` || (device === idstr && instanceId === 0);
}

/** Errors: does-not-fit where the new values are longer or shorter than those that came. */
function checkLength({ idstr, offset }: SectionItem, content: SectionContent): void {
  if (content.kind !== "device") return;
  const writer = new QemuFileWriter(new MemorySink());
  encodeDevice(writer, content.state);
  if (writer.offset === content.length) return;
  const what = `${JSON.stringify(idstr)} is in a package, whose length is sent before it`;
  throw new QevmError("does-not-fit", what, {
    offset,
    expected: `values of ${content.length} bytes`,
    found: `${writer.offset} bytes`,
  });
}

function noField(plain: PlainDevice, { device, path }: { device: string; path: string }): QevmError {
  const names = plainPaths(plain).map(([name]) => name);
  return new QevmError("usage", `device ${device} has no field ${JSON.stringify(path)}${didYouMean(path, names)}`);
}

/** Whether another layout that fits has the field elsewhere; no names: all of the device. */
function isUncertain({ catalogue }: SectionContent & { kind: "device" }, path: string): boolean {
  if (catalogue?.uncertain === undefined) return false;
  const { fields } = catalogue.uncertain;
  const any = path.replaceAll(/\[\d+\]/gu, "[]");
  return fields.length === 0 || fields.some((one) => any === one || any === `${one}[]` || `${any}[]` === one);
}

/** JSON if it parses (numbers, booleans, arrays), else the text itself (`0x...`, hex digits). */
function parsed(text: string): PlainValue {
  try {
    return parseExactJson(text) as PlainValue;
  } catch {
    return text;
  }
}

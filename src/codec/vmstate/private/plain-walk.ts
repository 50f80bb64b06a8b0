import { parseArray, parseBig, parseBytes, parseSmall, refusePlain, Taking, type KeyPath } from "../plain-values.js";
import { emptyRecord, type FieldValue, type RecordValue } from "../state.js";
import { BaseWalk, LIMITS, type PrivateCodec, type Scalar, type Wide } from "./walk.js";

/** A private codec's walker that converts the plain form to the typed record. */
class PlainWalk extends BaseWalk {
  record = emptyRecord<FieldValue>();

  constructor(
    private taking: Taking,
    path: KeyPath,
  ) {
    super(path);
  }

  protected scalar(name: string, kind: Scalar): number {
    const [min, max] = LIMITS[kind];
    return this.put(
      name,
      this.at(name, (plain) => parseSmall(plain, min, max, this.path)),
    );
  }

  protected wide(name: string, _kind: Wide): bigint {
    return this.put(
      name,
      this.at(name, (plain) => parseBig(plain, 0n, 0xffffffffffffffffn, this.path)),
    );
  }

  bytes(name: string, count: number): Uint8Array {
    return this.put(
      name,
      this.at(name, (plain) => parseBytes(plain, count, this.path)),
    );
  }

  string8(name: string): string {
    return this.put(
      name,
      this.at(name, (plain) => {
        if (typeof plain !== "string") throw refusePlain(this.path, "a string", plain);
        return plain;
      }),
    );
  }

  until(name: string, _end: (rest: Uint8Array) => number, codec?: PrivateCodec): void {
    this.put(
      name,
      this.at(name, (plain) =>
        codec !== undefined && typeof plain === "object"
          ? recordFromPlain(codec, 0, plain, this.path)
          : parseBytes(plain, undefined, this.path),
      ),
    );
  }

  group(name: string, body: () => void): void {
    this.put(
      name,
      this.at(name, (plain) => this.inner(plain, body)),
    );
  }

  array(name: string, count: number, body: () => void): void {
    this.items(name, count, body, count);
  }

  table(name: string, count: number, _width: number, body: () => void): void {
    this.items(name, count, body);
  }

  repeat(name: string, _more: (rest: Uint8Array) => boolean, body: () => void): void {
    this.items(name, Number.POSITIVE_INFINITY, body);
  }

  optional(name: string, _present: (rest: Uint8Array) => boolean, body: () => void): boolean {
    // Records from earlier versions lack fields that were added later.
    const value = this.put(
      name,
      this.taking.has(name) ? this.at(name, (plain) => (plain === null ? null : this.inner(plain, body))) : null,
    );
    return value !== null;
  }

  constant(): void {}

  private items(name: string, most: number, body: () => void, least = 0): void {
    const records = this.at(name, (plain) => {
      const items = parseArray(plain, "an array", this.path);
      if (items.length < least || items.length > most) {
        throw refusePlain(this.path, `an array of ${least === most ? "" : "up to "}${most}`, plain);
      }
      return items.map((item) => this.inner(item, body));
    });
    this.put(name, records);
  }

  private inner(plain: unknown, body: () => void): RecordValue {
    const outer = { record: this.record, taking: this.taking };
    const record = emptyRecord<FieldValue>();
    this.record = record;
    this.taking = new Taking(plain, this.path);
    body();
    this.taking.done();
    this.record = outer.record;
    this.taking = outer.taking;
    return { record };
  }

  private at<T>(name: string, read: (plain: unknown) => T): T {
    const plain = this.taking.take(name);
    this.path.push(name);
    const value = read(plain);
    this.path.pop();
    return value;
  }

  private put<T extends FieldValue>(name: string, value: T): T {
    this.record[name] = value;
    return value;
  }
}

export function recordFromPlain(codec: PrivateCodec, size: number, plain: unknown, path: KeyPath): RecordValue {
  const taking = new Taking(plain, path);
  const walk = new PlainWalk(taking, path);
  codec(walk, size);
  taking.done();
  return { record: walk.record };
}

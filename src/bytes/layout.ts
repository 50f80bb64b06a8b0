/**
 * Fixed layouts as typed tables. One table decodes, encodes and sizes a structure.
 *
 * Nothing is compiled at run time, so it works under a content security policy without `unsafe-eval`.
 */

/** One field: its size in bytes and both directions. `at` is a byte offset in the view. */
export interface Field<T> {
  readonly size: number;
  get(view: DataView, at: number): T;
  /** Values that do not fit are truncated to the field's bits. */
  set(view: DataView, at: number, value: T): void;
}

/** The values of a table of fields, by name. */
export type Values<F> = { -readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

/** A structure of fixed size. */
export interface Layout<F> {
  /** Size in bytes. */
  readonly size: number;
  /**
   * Decodes the fields at byte `at`. Errors: RangeError where the bytes end before `at + size`; the caller checks the
   * length first.
   */
  decode(bytes: Uint8Array, at?: number): Values<F>;
  /** Encodes the fields at byte `at`, or into a new array. */
  encode(values: Values<F>, into?: Uint8Array, at?: number): Uint8Array;
}

export const u8: Field<number> = {
  size: 1,
  get: (view, at) => view.getUint8(at),
  set: (view, at, value) => view.setUint8(at, value),
};
export const u16be = u16(false);
export const u32be = u32(false);
export const u32le = u32(true);
export const u64be: Field<bigint> = {
  size: 8,
  get: (view, at) => view.getBigUint64(at),
  set: (view, at, value) => view.setBigUint64(at, value),
};

function u16(little: boolean): Field<number> {
  return {
    size: 2,
    get: (view, at) => view.getUint16(at, little),
    set: (view, at, value) => view.setUint16(at, value, little),
  };
}

function u32(little: boolean): Field<number> {
  return {
    size: 4,
    get: (view, at) => view.getUint32(at, little),
    set: (view, at, value) => view.setUint32(at, value, little),
  };
}

/** A copy of `size` bytes. Shorter values are padded with zeros, longer ones are cut. */
export function bytesOf(size: number): Field<Uint8Array> {
  const within = (view: DataView, at: number): Uint8Array => new Uint8Array(view.buffer, view.byteOffset + at, size);
  return {
    size,
    get: (view, at) => within(view, at).slice(),
    set: (view, at, value) => within(view, at).set(value.subarray(0, size)),
  };
}

/** The same field `count` times. Missing values are zeros, surplus values are ignored. */
export function arrayOf<T>(field: Field<T>, count: number): Field<T[]> {
  return {
    size: field.size * count,
    get: (view, at) => Array.from({ length: count }, (_, k) => field.get(view, at + k * field.size)),
    set: (view, at, values) => {
      values.slice(0, count).forEach((value, k) => field.set(view, at + k * field.size, value));
    },
  };
}

/** A structure whose fields follow each other without gaps, in the order of the table. */
export function struct<F extends Record<string, Field<unknown>>>(fields: F): Layout<F> {
  const places: { name: string; field: Field<unknown>; at: number }[] = [];
  let size = 0;
  for (const [name, field] of Object.entries(fields)) {
    places.push({ name, field, at: size });
    size += field.size;
  }
  return {
    size,
    decode: (bytes, at = 0) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset + at, size);
      return Object.fromEntries(places.map((place) => [place.name, place.field.get(view, place.at)])) as Values<F>;
    },
    encode: (values, into = new Uint8Array(size), at = 0) => {
      const view = new DataView(into.buffer, into.byteOffset + at, size);
      const all: Record<string, unknown> = values;
      for (const place of places) place.field.set(view, place.at, all[place.name]);
      return into;
    },
  };
}

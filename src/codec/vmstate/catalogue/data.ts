import { QevmError } from "../../../bytes/errors.js";

/**
 * What is known of device state without a description: for each vmsd (and old-style handler) its layouts, learnt from
 * VMDESCRIPTIONs. A layout is a list of fields; everything that differs between captures of one vmsd without changing
 * its list of fields is merged into it.
 *
 * | merged                     | how                                                                             |
 * |----------------------------|---------------------------------------------------------------------------------|
 * | subsections                | by the name of the vmsd that has them; the bytes say which are present            |
 * | number of elements, sizes  | all that were seen, and the fields before it that always had the same value        |
 * | elements of queues         | the layouts of all elements seen; the bytes say how many there are                |
 * | structs inside             | all their layouts                                                                |
 */
export interface CatalogueData {
  /** Of this form; 1. */
  format: number;
  /** What the layouts were learnt from: a target and a version of QEMU, `x86_64 7.2`. */
  origins: string[];
  layouts: LayoutData[];
  /** Layouts of each device by the name of its vmsd; old-style handlers by theirs. */
  devices: Record<string, number[]>;
  /** Layouts of the subsections of each vmsd, by its name. */
  subsections: Record<string, number[]>;
}

/** A vmsd in one version of its layout. */
export interface LayoutData {
  /** Name of the vmsd; absent: an old-style handler. */
  name?: string;
  version?: number;
  /** Bits: indices in {@link CatalogueData.origins}, hexadecimal. */
  from: string;
  fields: GroupData[];
}

/** A field of a layout: a value, or all elements of an array. */
export interface GroupData {
  n: string;
  /** Its type in the description. */
  t: string;
  /** Sizes on the wire that were seen; absent for structs and lists. */
  s?: number[];
  /** Numbers of elements that were seen, where one object describes the array (`array_len`). */
  a?: number[];
  /** Numbers of elements that were seen, where the array is described element by element. */
  i?: number[];
  /** Indices of the layouts that the struct, or an element, may have. Empty: a NULL pointer. */
  l?: number[];
  /** `gtree`: each key is a struct, and these are its layouts. */
  k?: number[];
  /** Names of fields before it in the same struct whose value always was the number of elements, or the size. */
  r?: string[];
  /** Objects of an array that fit none of the above (NULL pointers in some places), as they were. */
  e?: GroupData[];
}

/** A layout of {@link CatalogueData}, ready to use. */
export interface Layout {
  readonly name: string | undefined;
  readonly version: number | undefined;
  /** Bits: indices in the catalogue's origins. */
  readonly from: bigint;
  readonly fields: readonly GroupData[];
}

/** One set of data. */
export interface Book {
  readonly layouts: readonly Layout[];
  readonly devices: ReadonlyMap<string, readonly Layout[]>;
  readonly subsections: ReadonlyMap<string, readonly Layout[]>;
}

/** Format of {@link CatalogueData} that this code reads and writes. */
export const CATALOGUE_FORMAT = 1;

/** A catalogue from its JSON text. Errors: bad-description. */
export function parseCatalogue(text: string): CatalogueData {
  let data: Partial<CatalogueData> | null;
  try {
    data = JSON.parse(text) as Partial<CatalogueData> | null;
  } catch (error) {
    throw new QevmError("bad-description", "a catalogue that is not JSON", { cause: error });
  }
  if (data?.format !== CATALOGUE_FORMAT || !isCatalogue(data)) {
    throw new QevmError("bad-description", "not a catalogue of device state of this version of qevm", {
      expected: `format ${CATALOGUE_FORMAT}`,
      found: String(data?.format),
    });
  }
  return data;
}

function isCatalogue(data: Partial<CatalogueData>): data is CatalogueData {
  const { origins, layouts, devices, subsections } = data;
  if (!Array.isArray(origins) || !Array.isArray(layouts)) return false;
  const known = (id: unknown): boolean => Number.isInteger(id) && layouts[id as number] !== undefined;
  const lists = [devices, subsections].every(
    (table) =>
      typeof table === "object" &&
      Object.values(table).every((ids: unknown) => Array.isArray(ids) && ids.every((id) => known(id))),
  );
  const group = ({ n, t, s, a, i, l, k, r, e }: GroupData): boolean =>
    typeof n === "string" &&
    typeof t === "string" &&
    [s, a, i].every((counts) => counts?.every((count) => Number.isSafeInteger(count) && count >= 0) ?? true) &&
    [l, k].every((ids) => ids?.every((id) => known(id)) ?? true) &&
    (r?.every((name) => typeof name === "string") ?? true) &&
    (e?.every((entry) => group(entry)) ?? true);
  return lists && layouts.every(({ from, fields }) => /^[0-9a-f]+$/u.test(from) && fields.every((one) => group(one)));
}

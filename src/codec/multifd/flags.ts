/** Flags of a multifd packet (QEMU migration/multifd.h, 4.0 to 11.1). */
export const MultifdFlag = {
  /** All earlier packets of this channel belong before the flush mark in the main stream (4.0). */
  SYNC: 0x01,
  ZLIB: 0x02,
  ZSTD: 0x04,
  /** Intel Query Processing Library (9.1). */
  QPL: 0x08,
  /** UADK, Kunpeng's accelerators (9.1). */
  UADK: 0x10,
  /** Intel QuickAssist (9.2). */
  QATZIP: 0x20,
  /** The packet holds device state, not pages (10.0). */
  DEVICE_STATE: 0x40,
} as const;

/** The bits of the compression method. */
const METHOD_MASK = 0x3e;
/** Every defined bit. */
export const KNOWN_FLAGS = 0x7f;

/** The compression of a channel's payloads: the values of `multifd-compression`. */
export type MultifdMethod = "none" | "zlib" | "zstd" | "qpl" | "uadk" | "qatzip";

const METHODS: Readonly<Record<number, MultifdMethod>> = {
  0: "none",
  [MultifdFlag.ZLIB]: "zlib",
  [MultifdFlag.ZSTD]: "zstd",
  [MultifdFlag.QPL]: "qpl",
  [MultifdFlag.UADK]: "uadk",
  [MultifdFlag.QATZIP]: "qatzip",
};

/** The method that the flags name; undefined where they name two. */
export function methodOf(flags: number): MultifdMethod | undefined {
  return METHODS[flags & METHOD_MASK];
}

/** The flag of a method. */
export function flagOf(method: MultifdMethod): number {
  return Number(Object.keys(METHODS).find((flag) => METHODS[Number(flag)] === method));
}

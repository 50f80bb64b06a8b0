/**
 * Every bound that the stream decoder enforces before it takes memory. All are options (`limits`) of
 * `StreamReader` and of everything built on it, and of the commands (`--limit NAME=N`).
 */
export interface StreamLimits {
  /** Bytes of a machine name in the configuration section (QEMU: unbounded be32). */
  machineName: number;
  /** Subsections of the configuration, and capabilities in their list. */
  configurationItems: number;
  /** RAM blocks in a block list (there is no count on the wire), and with those that only pages name (lenient mode). */
  ramBlocks: number;
  /** Different section ids in one stream. */
  sections: number;
  /** Sections, parts of sections and commands in one stream; one more for each KiB of it. */
  items: number;
  /** Bytes of the bitmap of one block of a mapped-ram file (one bit a page). */
  bitmapBytes: number;
  /** Bytes between such a bitmap and its pages (QEMU: less than 1 MiB). */
  gapBytes: number;
  /** Bytes buffered for the device part: device states, EOF, VMDESCRIPTION. */
  deviceBytes: number;
  /** Bytes that one record of a section of `src/codec/sections` may state. */
  sectionRecordBytes: number;
  /** Bytes of a PACKAGED blob (QEMU: 16 MiB until 2.11, then 4 GiB). */
  packagedBytes: number;
  /** Bytes of the VMDESCRIPTION text. */
  descriptionBytes: number;
  /** Nesting of objects and arrays in it. */
  descriptionDepth: number;
  /** Values and members in it. */
  descriptionValues: number;
  /** Values of one device, weighed by the memory that they take (see `vmstate/context.ts`). */
  deviceValues: number;
  /** Readings of an ambiguous description that are tried for one device. */
  deviceReadings: number;
  /** Bytes, a field at least one, decoded in vain before no further reading is tried. */
  deviceWork: number;
  /** Bytes after the end of a stream that are looked at, where the length of the input is known. */
  tailBytes: number;
  /** Plain bytes for each byte of a compressed file, counted above 256 MiB; compressed twice: a 64th of it. */
  expansion: number;
  /** Bytes of the window of a zstd file (`zstd --long=N`: 2 ** N) or the dictionary of an xz one, kept in memory. */
  windowBytes: number;
  /** Bytes of the snapshot table of a qcow2 image (QEMU: 64 MiB). */
  snapshotBytes: number;
  /**
   * `pack`: bytes of the blocks' files that no record mentions, and that are searched for pages to add. The default
   * grows by 1024 times what the files take on the disk.
   */
  absentBytes: number;
}

/** The default bounds. */
export const DEFAULT_LIMITS: Readonly<StreamLimits> = {
  machineName: 1024,
  configurationItems: 256,
  ramBlocks: 65_536,
  sections: 65_536,
  items: 100_000,
  bitmapBytes: 64 * 1024 * 1024,
  gapBytes: 2 * 1024 * 1024,
  deviceBytes: 256 * 1024 * 1024,
  sectionRecordBytes: 64 * 1024 * 1024,
  packagedBytes: 256 * 1024 * 1024,
  descriptionBytes: 64 * 1024 * 1024,
  descriptionDepth: 128,
  descriptionValues: 4_000_000,
  deviceValues: 4 * 1024 * 1024,
  deviceReadings: 256,
  deviceWork: 32 * 1024 * 1024,
  tailBytes: 16 * 1024 ** 3,
  expansion: 65_536,
  windowBytes: 128 * 1024 * 1024,
  snapshotBytes: 16 * 1024 * 1024,
  absentBytes: 64 * 1024 ** 3,
};

/** The limits of a VMDESCRIPTION, as its parser takes them. */
export function descriptionLimits(limits: StreamLimits): { maxDepth: number; maxNodes: number; maxLength: number } {
  const { descriptionDepth, descriptionValues, descriptionBytes } = limits;
  return { maxDepth: descriptionDepth, maxNodes: descriptionValues, maxLength: descriptionBytes };
}

/** The limits of a device, as its decoder takes them. */
export function deviceLimits(limits: StreamLimits): { maxValues: number; maxAttempts: number; maxWork: number } {
  const { deviceValues, deviceReadings, deviceWork } = limits;
  return { maxValues: deviceValues, maxAttempts: deviceReadings, maxWork: deviceWork };
}

/** What the page asks its worker, and what it gets. Everything here can be sent between them. */
import type { WindowUnit } from "../analyse/dump/window.js";
import type { PlainDevice } from "../codec/vmstate/plain.js";

/** What was dropped or chosen: a file, or a folder with the files of a recording. */
export interface Dropped {
  name: string;
  /** One, or those of the folder. */
  files: readonly File[];
  isFolder: boolean;
}

/** What to open, and how. */
export interface Opening extends Dropped {
  /** Name or id of a qcow2 snapshot. */
  snapshot?: string | undefined;
}

/** What the first bytes of a file show. */
export interface Look {
  /** Of a qcow2 image: those that hold a VM state. */
  snapshots: { id: string; name: string; date: string; size: string }[];
}

/** What `qevm inspect` prints: lines on stdout and stderr. */
export interface Summary {
  lines: string[];
  warnings: string[];
  refused: boolean;
}

/** A strip of the map of a RAM block. */
export interface Strip {
  /** Pages from `from` to before `to`. */
  from: number;
  to: number;
  /** A column: pages of each kind, by `PageKind`. */
  cells: number[][];
  totals: number[];
}

export interface BlockSummary {
  name: string;
  length: number;
  strip: Strip;
}

export interface DeviceSummary {
  name: string;
  instance: number;
  version: number;
  /** Of its section's first byte. */
  offset: number;
  /** The size of its state, and how it was read where nothing describes it. */
  size: string;
  note: string;
}

interface SectionPlace {
  name: string;
  offset: number;
  length: number;
}

/** Everything that one reading of the whole stream shows. */
export interface Survey {
  /** What `qevm explain` prints. */
  explained: string[];
  damaged: boolean;
  /** Each kind of damage, in words. */
  damage: string[];
  pageSize: number;
  blocks: BlockSummary[];
  /** The overview of `qevm devices`. */
  deviceLines: string[];
  devices: DeviceSummary[];
  sections: SectionPlace[];
  /** Absolute offset of the stream's first byte, and of the byte after its last. */
  start: number;
  end: number;
}

/** A device with all its values. */
export interface DeviceValues {
  /** What `qevm devices FILE NAME` prints. */
  lines: string[];
  /** Undefined: not understood. */
  values: PlainDevice | undefined;
}

/** Devices in which a text was found, by their place in the survey, with the lines that hold it. */
export interface Hit {
  device: number;
  lines: string[];
  more: number;
}

export type Space = { kind: "physical" } | { kind: "block"; name: string } | { kind: "virtual"; cpu: number };

export interface MemoryFacts {
  blocks: { name: string; length: number }[];
  /** Guest-physical ranges; empty: the layout is not known, and `why` says it. */
  segments: { start: number; length: number; block: string; offset: number }[];
  why: string;
  /** The numbers of the CPUs whose registers are known. */
  cpus: number[];
  warnings: string[];
  /** The stream is damaged: it was read as by `--lenient`. */
  lenient: boolean;
}

export interface Bytes {
  bytes: Uint8Array;
}

/** Bytes of the stream, and what they belong to. */
export interface StreamBytes {
  at: number;
  bytes: Uint8Array;
  units: WindowUnit[];
  /** Why nothing is named. */
  why?: string | undefined;
}

export type Document = "inspect" | "devices" | "explain";

/** The questions, by name. */
export interface Questions {
  look: (opening: Opening) => Look;
  inspect: () => Summary;
  survey: () => Survey;
  explain: (text: string) => { lines: string[]; damaged: boolean };
  strip: (block: number, from: number, to: number, cells: number) => Strip;
  device: (device: number) => DeviceValues;
  find: (text: string) => Hit[];
  memory: () => MemoryFacts;
  read: (space: Space, at: string, length: number) => Bytes;
  blockPiece: (name: string, at: number, length: number) => Bytes;
  streamAt: (at: number, length: number) => StreamBytes;
  report: () => Blob;
  json: (which: Document) => Blob;
  diff: (
    a: Opening,
    b: Opening,
  ) => { lines: string[]; different: boolean; refused: boolean; document: Blob | undefined };
}

export type Question = keyof Questions;

/** Page to worker. */
export interface Ask {
  id: number;
  question: Question;
  args: unknown[];
}

/** Worker to page. */
export type Answer =
  | { id: number; value: unknown }
  /** A message as the program prints it. */
  | { id: number; refusal: string }
  /** Bytes of the file that were read. */
  | { id: number; what: string; done: number; total: number };

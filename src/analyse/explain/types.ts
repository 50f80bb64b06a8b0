import type { QevmError } from "../../bytes/errors.js";
import type { Inspection } from "../inspect/inspect.js";

/** What can be done. Either of `arguments` (of the destination's QEMU) and `command` (of a shell), or words alone. */
export interface Remedy {
  what: string;
  /** For the destination, instead of what it has, or in addition. */
  arguments?: string[];
  /** A program and its arguments: qevm, with the name of the file that is explained. */
  command?: string[];
  /** What to say to the destination's monitor (HMP) before the load. */
  monitor?: string[];
}

/** What in the file a text is about. Every key is there only where it is known. */
export interface About {
  /** Absolute byte offset in the stream. */
  streamOffset?: number;
  section?: string;
  instance?: number;
  block?: string;
  /** Path of a field of a device, as `qevm devices` shows it. */
  field?: string;
  /** What the file has there. */
  value?: string | number;
  /** What the destination has, where the text says it. */
  local?: string | number;
}

/** One of QEMU's texts, explained. */
export interface Finding {
  /** Stable: the key in the table of texts. */
  cause: string;
  /** QEMU's words. */
  text: string;
  /** How precise it is: 0 names what is wrong, 1 where, 2 only that something is. The others are explained by those. */
  rank: 0 | 1 | 2;
  about: About;
  /** What in this file it is about. */
  here: string[];
  /** Why that QEMU refuses it. */
  why: string[];
  remedies: Remedy[];
}

/** A device that the file has a section of, and the likely option of the destination. */
export interface LikelyDevice {
  section: string;
  instance: number;
  /** Of the section. */
  streamOffset: number;
  /** PCI address or path of another bus, as the section's name has it. */
  place: string;
  /** The value of -device. */
  argument: string;
  /** Other devices whose section has the same name. */
  also: string[];
}

/** What a destination must look like. */
export interface Destination {
  /** Whole: machine, memory, devices. */
  arguments: string[];
  /** The disks of a save image's domain XML, to add where their files are. DRIVE0, ... of `arguments` are among them. */
  diskArguments: string[];
  devices: LikelyDevice[];
  /** Sections that no option was found for. */
  unnamed: string[];
  /** Migration capabilities that must be on. */
  capabilities: string[];
  /** What the arguments do not say, or only likely. */
  notes: string[];
}

/** Which releases of QEMU load the file. */
export interface VersionRule {
  /** First release; undefined: any. */
  firstRelease?: string;
  /** Last release; undefined: any. */
  lastRelease?: string;
  /** What in the file asks for that. */
  why: string;
  remedy?: Remedy;
}

/** Which releases load the file after `qevm adapt`, which gives the destination what the old machine type set. */
export interface AdaptReach {
  /** First and last release that this was seen with. */
  firstRelease: string;
  lastRelease: string;
  /** The command, with that of the destination which the file shows. */
  command: string[];
}

/** What `qevm explain` reports; the keys are fixed. */
export interface Explanation {
  machine: string | null;
  streamLength: number;
  complete: boolean;
  /** QEMU's texts that are known, the most telling first. */
  findings: Finding[];
  /** Lines of the text that are not known. */
  unknown: string[];
  /** Lines unrelated to the stream: warnings of a QEMU that starts. */
  harmless: string[];
  /** What the file has that an unrecognized line names. */
  mentioned: string[];
  /** What is wrong in the file itself. */
  faults: Damage[];
  destination: Destination;
  versions: {
    firstRelease: string | null;
    lastRelease: string | null;
    rules: VersionRule[];
    /**
     * How reliable the bounds are. "may": nothing was found that a release between them refuses. "unchecked": the same,
     * but payloads of pages were not decompressed. "unknown": not all of the stream could be read. "none": it is
     * damaged or cut, and no release loads it as it is.
     */
    loads: "may" | "unchecked" | "unknown" | "none";
    /** Null where it reaches no further, or cannot read the file. */
    adapt: AdaptReach | null;
  };
  /** Further notes. */
  notes: string[];
  inspection: Inspection;
}

/** Something that is wrong in the file. */
export interface Damage {
  /** The first of its kind. */
  error: QevmError;
  /** How many of its kind there are (100 at most are counted). */
  times: number;
  /** Where they are, in bytes of the stream: the first 20. */
  streamOffsets: number[];
  /** In plain words: what a QEMU would do. */
  means: string[];
  remedies: Remedy[];
}

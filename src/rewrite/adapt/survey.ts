import { QevmError } from "../../bytes/errors.js";
import { derive, type ByteSource } from "../../bytes/source.js";
import { StreamReader, type SectionItem, type StreamItem, type StreamOptions } from "../../codec/stream/index.js";
import type { Section, Survey } from "./types.js";

/**
 * Walks a stream and keeps everything but its pages. Memory: the device part, which `limits.deviceBytes` bounds.
 * Errors: as `StreamReader`; truncated (no EOF, in lenient mode too); unsupported (device state without a description,
 * a switch to postcopy).
 */
export async function survey(source: ByteSource, options: StreamOptions): Promise<Survey> {
  const reader = new StreamReader(source, { ...options, skipMappedPages: true });
  const surveyor = new Surveyor(reader);
  for await (const item of reader) surveyor.item(item);
  return surveyor.all();
}

/**
 * The survey of a destination's pattern. Errors: as `survey`, with "the pattern" in the path; unsupported for a
 * mapped-ram file.
 */
export async function surveyPattern(source: ByteSource): Promise<Survey> {
  const named = derive(source, (into) => source.read(into));
  const found = await survey({ ...named, within: [...(source.within ?? []), "the pattern"] }, {});
  if (!found.mapped) return found;
  const what = "the pattern is a mapped-ram file: convert --to stream makes a stream of it";
  throw new QevmError("unsupported", what, { offset: 0, path: ["the pattern"] });
}

/** Keeps what a walk over a stream finds, its pages aside. */
export class Surveyor {
  private readonly sections: Section[] = [];
  private readonly chunked: Survey["chunked"] = [];
  private ramOffset = -1;
  private ramSectionId = -1;
  private ended = false;

  constructor(private readonly reader: StreamReader) {}

  /** Takes an item, in order; its records and chunks are not read. Errors: unsupported, as `survey`. */
  item(item: StreamItem): void {
    if (item.kind === "opaque") throw undecodable(item.offset, item.reason);
    if (item.kind === "command" && item.command.name === "PACKAGED") {
      const what = "adapt: a stream that switches to postcopy; convert --flatten makes one round of it";
      throw new QevmError("unsupported", what, { offset: item.offset });
    }
    if (item.kind === "eof") this.ended = true;
    if (item.kind !== "section") return;
    if (item.content.kind === "ram") {
      if (this.ramOffset < 0) [this.ramOffset, this.ramSectionId] = [item.offset, item.sectionId];
    } else if (item.type === "full" && item.content.kind !== "records") {
      this.sections.push(sectionOf(item, this.ramOffset < 0));
    } else if (!this.chunked.some(({ idstr }) => idstr === item.idstr)) {
      const { idstr, offset, type } = item;
      this.chunked.push({ idstr, offset, type });
    }
  }

  /** What has come so far. */
  get sofar(): Survey {
    const { reader, sections, chunked, ramOffset, ramSectionId } = this;
    return {
      machine: reader.configuration?.machine,
      configuration: reader.configuration,
      pageSize: reader.ram.pageSize,
      footers: reader.footers ?? false,
      blocks: reader.ram.blocks,
      ramOffset,
      ramSectionId,
      sections,
      chunked,
      mapped: reader.capabilities.includes("mapped-ram"),
      diagnostics: reader.diagnostics,
    };
  }

  /** The whole stream has come. Errors: truncated, unsupported. */
  all(): Survey {
    if (this.ramOffset < 0) throw new QevmError("unsupported", "adapt: the stream has no RAM section", { offset: 0 });
    // The devices that are missing would be those of a machine that has not run.
    if (!this.ended) {
      throw new QevmError("truncated", "adapt: the stream ends before its EOF", { offset: this.reader.offset });
    }
    return this.sofar;
  }
}

function sectionOf(item: SectionItem, early: boolean): Section {
  const { content, offset, sectionId, idstr, instanceId, versionId } = item;
  const state = content.kind === "device" ? content.state : undefined;
  const bytes = content.kind === "opaque" ? content.bytes : undefined;
  return { offset, sectionId, idstr, instanceId, versionId, early, state, bytes };
}

function undecodable(offset: number, reason: string): QevmError {
  const way =
    "--schema takes another capture of the same QEMU, machine type and devices: one with a description is written " +
    "with -machine ...,suppress-vmdesc=off after the guest's firmware has run";
  return new QevmError("unsupported", `adapt: device state that nothing describes (${reason}); ${way}`, { offset });
}

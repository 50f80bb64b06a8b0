import { QevmError } from "../../bytes/errors.js";
import type { ByteSource } from "../../bytes/source.js";
import { RamFlag } from "../../codec/ram/index.js";
import { StreamReader, type SectionItem, type StreamOptions } from "../../codec/stream/index.js";
import type { Section, Survey } from "./types.js";

/**
 * Walks a stream and keeps everything but its pages. Memory: the device part, which `limits.deviceBytes` bounds.
 * Errors: as `StreamReader`; truncated (no EOF, in lenient mode too); unsupported (device state without a description, a
 * switch to postcopy).
 */
export async function survey(source: ByteSource, options: StreamOptions): Promise<Survey> {
  const reader = new StreamReader(source, { ...options, skipMappedPages: true });
  const sections: Section[] = [];
  const chunked: Survey["chunked"] = [];
  let ramOffset = -1;
  let ramSectionId = -1;
  let compressed = false;
  let ended = false;
  for await (const item of reader) {
    if (item.kind === "opaque") throw undecodable(item.offset, item.reason);
    if (item.kind === "command" && item.command.name === "PACKAGED") {
      const what = "adapt: a stream that switches to postcopy; convert --flatten makes one round of it";
      throw new QevmError("unsupported", what, { offset: item.offset });
    }
    if (item.kind === "eof") ended = true;
    if (item.kind !== "section") continue;
    if (item.content.kind === "ram") {
      if (ramOffset < 0) [ramOffset, ramSectionId] = [item.offset, item.sectionId];
      for await (const batch of item.records()) compressed ||= batch.has(RamFlag.COMPRESS_PAGE);
    } else if (item.type === "full" && item.content.kind !== "records") {
      sections.push(sectionOf(item, ramOffset < 0));
    } else if (!chunked.some(({ idstr }) => idstr === item.idstr)) {
      const { idstr, offset, type } = item;
      chunked.push({ idstr, offset, type });
    }
  }
  if (ramOffset < 0) throw new QevmError("unsupported", "adapt: the stream has no RAM section", { offset: 0 });
  // The devices that are missing would be those of a machine that has not run.
  if (!ended) throw new QevmError("truncated", "adapt: the stream ends before its EOF", { offset: reader.offset });
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
    compressed,
    mapped: reader.capabilities.includes("mapped-ram"),
    diagnostics: reader.diagnostics,
  };
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

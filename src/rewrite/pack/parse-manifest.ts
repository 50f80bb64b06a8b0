import { QevmError } from "../../bytes/errors.js";
import type { Command, Configuration, ConfigurationSubsection, SectionHeader } from "../../codec/stream/index.js";
import { commandOf } from "./commands.js";
import { Keys, refuse, type Manifest, type ManifestBlock } from "./manifest.js";

/** An item of the manifest, checked. */
export type PackItem =
  | { kind: "header"; version: number }
  | { kind: "configuration"; configuration: Configuration; at: string }
  | { kind: "ram"; header: SectionHeader }
  | { kind: "section"; header: SectionHeader; content: string }
  | { kind: "footer"; sectionId: number }
  | { kind: "command"; command: Command }
  | { kind: "package-end" }
  | { kind: "eof" }
  | { kind: "vmdescription"; file: string }
  | { kind: "bytes"; file: string };

const FILE = "manifest.json";
const BE32 = 0xffffffff;

/** Errors: bad-description, with the key. */
export function parseManifest(value: unknown): { manifest: Manifest; items: PackItem[] } {
  const top = new Keys(value, FILE);
  const mark = top.text("qevm");
  const version = top.integer("version");
  if (mark !== "unpacked stream" || version !== 1) {
    throw refuse(`${FILE}: qevm, version`, '"unpacked stream" version 1', `${mark} version ${version}`);
  }
  const pageSize = top.integer("pageSize", 1 << 16);
  if (pageSize < 256 || !Number.isInteger(Math.log2(pageSize)))
    throw refuse(`${FILE}: pageSize`, "a power of two, at least 256", pageSize);
  const ram = new Keys(top.take("ram"), `${FILE}: ram`);
  const blocks = ram.list("blocks", blockOf);
  const lists = ram.list("lists", (item, at) => {
    const keys = new Keys(item, at);
    const list = { total: keys.integer("total"), blocks: keys.integer("blocks") };
    keys.done();
    return list;
  });
  const xbzrle = ram.take("xbzrle");
  if (typeof xbzrle !== "boolean") throw refuse(`${FILE}: ram: xbzrle`, "true or false", xbzrle);
  ram.done();
  const starts = new Map<number, SectionHeader>();
  const items = top.list("items", (item, at) => itemOf(item, at, starts));
  const schema = top.has("schema") ? { schema: top.file("schema") } : {};
  top.done();
  return { manifest: { qevm: mark, version, pageSize, ram: { blocks, lists, xbzrle }, ...schema, items: [] }, items };
}

function blockOf(value: unknown, at: string): ManifestBlock {
  const keys = new Keys(value, at);
  const block: ManifestBlock = { name: keys.text("name"), length: keys.integer("length"), file: keys.file("file") };
  if (keys.has("pageSize")) block.pageSize = `0x${keys.big("pageSize").toString(16)}`;
  if (keys.has("address")) block.address = `0x${keys.big("address").toString(16)}`;
  keys.done();
  return block;
}

function itemOf(value: unknown, at: string, starts: Map<number, SectionHeader>): PackItem {
  const keys = new Keys(value, at);
  const kind = keys.text("item");
  const item = contentOf(kind, keys, starts);
  keys.done();
  return item;
}

function contentOf(kind: string, keys: Keys, starts: Map<number, SectionHeader>): PackItem {
  switch (kind) {
    case "header":
      return { kind, version: keys.integer("version", BE32) };
    case "configuration": {
      const machine = keys.text("machine");
      return { kind, configuration: { machine, subsections: keys.list("subsections", subsectionOf) }, at: keys.at };
    }
    case "section":
      return sectionOf(keys, starts);
    case "footer":
      return { kind, sectionId: keys.integer("id", BE32) };
    case "command":
      return { kind, command: commandOf(keys) };
    case "package-end":
    case "eof":
      return { kind };
    case "vmdescription":
      return { kind, file: keys.file("file") };
    case "bytes":
      keys.text("what");
      return { kind, file: keys.file("file") };
    default:
      throw refuse(`${keys.at}: item`, "a kind of item that there is", kind);
  }
}

function sectionOf(keys: Keys, starts: Map<number, SectionHeader>): PackItem {
  const type = keys.text("type");
  const sectionId = keys.integer("id", BE32);
  let header: SectionHeader;
  if (type === "start" || type === "full") {
    const idstr = keys.text("name");
    const instanceId = keys.integer("instance", BE32);
    header = { type, sectionId, idstr, instanceId, versionId: keys.integer("version", BE32) };
    starts.set(sectionId, header);
  } else if (type === "part" || type === "end") {
    const start = starts.get(sectionId);
    if (start === undefined)
      throw new QevmError("bad-description", `${keys.at}: id: section ${sectionId} was never started`);
    header = { ...start, type };
  } else {
    throw refuse(`${keys.at}: type`, "start, part, end or full", type);
  }
  const content = keys.file("content");
  return content === "ram" ? { kind: "ram", header } : { kind: "section", header, content };
}

function subsectionOf(value: unknown, at: string): ConfigurationSubsection {
  const keys = new Keys(value, at);
  const name = keys.text("name");
  const version = keys.integer("version", BE32);
  const subsection = ((): ConfigurationSubsection => {
    switch (name) {
      case "configuration/target-page-bits":
        return { name, version, bits: keys.integer("bits", BE32) };
      case "configuration/capabilities":
        return { name, version, capabilities: keys.list("capabilities", textOf) };
      case "configuration/uuid":
        return { name, version, uuid: keys.hex("uuid") };
      default:
        throw refuse(`${at}: name`, "a configuration subsection that there is", name);
    }
  })();
  keys.done();
  return subsection;
}

function textOf(value: unknown, at: string): string {
  if (typeof value !== "string") throw refuse(at, "a string", value);
  return value;
}

export {
  CommandNumber,
  commandName,
  commandToPlain,
  decodeCommand,
  encodeCommand,
  type BareCommand,
  type Command,
  type DiscardRange,
  type PlainCommand,
  type PostcopyPageSizes,
} from "./command.js";
export {
  capabilitiesOf,
  decodeConfiguration,
  encodeConfiguration,
  type Configuration,
  type ConfigurationSubsection,
} from "./configuration.js";
export { UNDESCRIBED, type CatalogueOption } from "./device-part.js";
export { descriptionOf } from "./description-of.js";
export { isEarlySection } from "./early.js";
export { decodeHeader, encodeHeader, STREAM_MAGIC, STREAM_VERSION, type StreamHeader } from "./header.js";
export type {
  CatalogueMark,
  CommandItem,
  ConfigurationItem,
  EofItem,
  FooterItem,
  HeaderItem,
  OpaqueItem,
  PackageEndItem,
  SectionContent,
  SectionItem,
  StreamItem,
  TrailingItem,
  VmDescriptionItem,
} from "./items.js";
export {
  ReturnPathReader,
  returnMessageToPlain,
  type ReturnPathItem,
  type ReturnPathOptions,
} from "./return-path-reader.js";
export { DEFAULT_LIMITS, type StreamLimits } from "./limits.js";
export { type Continued, type StreamOptions } from "./options.js";
export { StreamReader } from "./reader.js";
export { recognise } from "./recognise.js";
export { roleOf, ROLE_BYTES, type ChannelRole } from "./roles.js";
export { BEHIND, ENDS_INSIDE, type Unfinished } from "./rest.js";
export {
  createStreamWriter,
  describedConfiguration,
  RamWriter,
  StreamWriter,
  type StreamWriterOptions,
  type WrittenDevice,
} from "./stream-writer.js";
export { decodeReturnMessage, encodeReturnMessage, isReturnPath, type ReturnMessage } from "./return-path.js";
export { ExactWriter } from "./writer.js";
export {
  decodeFooter,
  decodeFullHeader,
  decodePartHeader,
  encodeFooter,
  encodeSectionHeader,
  type SectionHeader,
} from "./section.js";
export { TypeByte, type SectionType } from "./types.js";

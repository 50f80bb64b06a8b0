/**
 * The texts that QEMU is known to say when it does not load a stream: how each is recognised, and which cause explains
 * it.
 *
 * | field   | meaning                                                                                                            |
 * |---------|--------------------------------------------------------------------------------------------------------------------|
 * | cause   | stable key                                                                                                         |
 * | pattern | found anywhere in the input text: a program's name, a timestamp of libvirt, or 11.1's "load of migration failed: " may come before |
 * | rank    | 0 names what is wrong, 1 where, 2 only that something is                                                           |
 * | heard   | releases that were observed to print it (chapters 21 and 81); none: known from the program's format strings alone         |
 *
 * Source: what QEMU 5.2, 7.2, 10.0 and 11.1 said when they were given such streams; the format strings in QEMU 7.2's
 * program.
 */
import * as blocks from "./causes/blocks.js";
import * as commands from "./causes/commands.js";
import * as cpreg from "./causes/cpreg.js";
import * as devices from "./causes/devices.js";
import * as footers from "./causes/footers.js";
import * as general from "./causes/general.js";
import * as header from "./causes/header.js";
import * as pages from "./causes/pages.js";
import { pciConfig } from "./causes/pci-config.js";
import * as sections from "./causes/sections.js";
import * as virtio from "./causes/virtio.js";
import type { KnownText } from "./context.js";
import { DEVICE_TEXTS } from "./tables/devices.js";
import { LIBVIRT_TEXTS } from "./tables/libvirt.js";
import { SNAPSHOT_TEXTS } from "./tables/snapshots.js";
import { START_TEXTS } from "./tables/start.js";
import { STREAM_TEXTS } from "./tables/stream.js";

const ALL = ["5.2", "7.2", "10.0", "11.1"];
const RECENT = ["7.2", "10.0", "11.1"];
const OLD = ["5.2", "7.2", "10.0"];

type Row = [cause: string, rank: 0 | 1 | 2, heard: readonly string[], pattern: RegExp, explain: KnownText["explain"]];

const ROWS: readonly Row[] = [
  // Header and configuration.
  ["not-a-stream", 0, ALL, /Not a migration stream(?:, magic: (?<magic>[0-9a-f]+) != [0-9a-f]+)?/u, header.notAStream],
  ["old-stream", 0, ALL, /SaveVM v2 format is obsolete[^\n]*/u, header.streamVersion],
  [
    "stream-version",
    0,
    ALL,
    /Unsupported migration stream version(?:, file version (?<received>\d+) != \d+)?/u,
    header.streamVersion,
  ],
  ["configuration-missing", 0, ALL, /Configuration section missing(?:, \d+ != \d+)?/u, header.configurationMissing],
  [
    "machine-type",
    0,
    ALL,
    /Machine type received is '(?<received>[^'\n]*)' and local is '(?<local>[^'\n]*)'/u,
    header.machineType,
  ],
  ["page-bits", 0, [], /Received TARGET_PAGE_BITS is (?<received>\d+) but local is (?<local>\d+)/u, header.pageBits],
  [
    "capability",
    0,
    RECENT,
    /Capability (?<capability>[\w-]+) is (?<local>on|off), but received capability is (?:on|off)/u,
    header.capability,
  ],
  [
    "capability-name",
    0,
    ["10.0", "11.1"],
    /Parameter 'capability' does not accept value '(?<capability>[\w-]+)'/u,
    header.capabilityName,
  ],
  ["unknown-capability", 0, RECENT, /Received unknown capability (?<capability>[\w-]+)/u, header.unknownCapability],
  ["uuid", 0, RECENT, /UUID received is (?<received>[0-9a-f-]{36}) and local is (?<local>[0-9a-f-]{36})/u, header.uuid],
  ["uuid-not-set", 0, RECENT, /UUID is received (?<received>[0-9a-f-]{36}), but local uuid isn't set/u, header.uuid],
  // Sections.
  [
    "unknown-section",
    0,
    ALL,
    /Unknown (?:savevm )?section or instance '(?<section>.*?)' (?<number>\d+)(?:\. Make sure that[^\n]*?devices)?/u,
    sections.unknownSection,
  ],
  [
    "section-version",
    0,
    ALL,
    /(?:savevm: )?unsupported version (?<received>\d+) for '(?<section>.*?)' v(?<local>\d+)/u,
    sections.sectionVersion,
  ],
  ["unknown-section-type", 0, ALL, /Unknown (?:savevm )?section type (?<number>\d+)/u, sections.unknownType],
  ["unknown-section-id", 0, ALL, /Unknown (?:savevm )?section (?<number>\d+)/u, sections.unknownId],
  ["footer-missing", 0, ALL, /Missing section footer for (?<section>\S+)/u, footers.footerMissing],
  [
    "footer-mismatch",
    0,
    ALL,
    /Mismatched section id in footer for (?<section>\S+) - read (?<received>0x[0-9a-f]+) expected (?<local>0x[0-9a-f]+)/u,
    footers.footerMismatch,
  ],
  ["no-description", 0, [], /Expected vmdescription section, but got (?<number>\d+)/u, sections.noDescription],
  ["part-failed", 1, OLD, /error while loading state section id (?<id>\d+)\((?<section>.*?)\)/u, sections.partFailed],
  [
    "loading",
    1,
    ALL,
    /error while loading state for instance (?<instance>0x[0-9a-f]+) of device '(?<device>.*?)'/u,
    devices.loading,
  ],
  // RAM.
  ["unknown-block", 0, ALL, /Unknown ramblock "(?<block>.*?)", cannot accept migration/u, blocks.unknownBlock],
  [
    "block-size",
    0,
    ALL,
    /(?:Size|Length) mismatch: (?<block>.+?): (?<received>0x[0-9a-f]+)(?: in)? != (?<local>0x[0-9a-f]+)/u,
    blocks.sizeMismatch,
  ],
  [
    "block-too-large",
    0,
    [],
    /Size too large: (?<block>.+?): (?<received>0x[0-9a-f]+) > (?<local>0x[0-9a-f]+)/u,
    blocks.sizeMismatch,
  ],
  ["page-block", 0, ALL, /Can't find block (?<block>[^\n]+)/u, pages.pagePlace],
  ["page-no-block", 0, ALL, /Ack, bad migration stream!/u, pages.pagePlace],
  ["page-offset", 0, ALL, /Illegal RAM offset (?<page>[0-9a-f]+)/u, pages.pagePlace],
  [
    "page-flags",
    0,
    ALL,
    /Unknown combination of migration flags: (?<flags>0x[0-9a-f]+)(?: \(postcopy mode\))?/u,
    pages.pageFlags,
  ],
  ["compressed-page", 0, ["5.2", "7.2"], /Received an unexpected compressed page/u, pages.unexpectedCompressed],
  ["compressed-length", 0, ["5.2", "7.2"], /Invalid compressed data length: (?<length>-?\d+)/u, pages.compressedData],
  ["compressed-data", 0, ["7.2"], /decompress data failed/u, pages.compressedData],
  ["xbzrle", 0, ALL, /Failed to load XBZRLE page - (?:wrong compression|len overflow|decode error)!/u, pages.xbzrle],
  ["xbzrle-page", 1, ALL, /Failed to decompress XBZRLE page at (?<page>[0-9a-f]+)/u, pages.xbzrle],
  ["fill", 0, ["10.0", "11.1"], /Found a zero page with value (?<fill>\d+)/u, pages.zeroPage],
  [
    "block-address",
    0,
    [],
    /Mismatched GPAs for block (?<block>.+?) (?<received>[0-9a-fx]+) ?!= (?<local>[0-9a-fx]+)/u,
    blocks.addresses,
  ],
  [
    "block-page-size",
    0,
    [],
    /Mismatched RAM page size (?<block>.+?) \(local\) (?<local>\d+) != (?<received>\d+)/u,
    blocks.blockPageSize,
  ],
  ["pages-end", 0, ["10.0", "11.1"], /Getting RAM address failed/u, pages.addressFailed],
  // Devices.
  [
    "cpreg",
    0,
    [],
    /system register (?<register>0x[0-9a-f]+) (?:in|expected by the destination but (?<missing>not) in) the incoming stream[^\n]*/u,
    cpreg.systemRegister,
  ],
  [
    "cpreg-count",
    0,
    ["7.2"],
    /Invalid value \d+ expecting positive value <= (?<local>\d+)\n[^\n]*Failed to load cpu:cpreg_vmstate_array_len/u,
    cpreg.registerCount,
  ],
  [
    "pci-config",
    0,
    RECENT,
    /Bad config data: i=0x(?<index>[0-9a-f]+) read: (?<read>[0-9a-f]+) device: (?<local>[0-9a-f]+) cmask: (?<cmask>[0-9a-f]+) wmask: (?<wmask>[0-9a-f]+) w1cmask: ?(?<w1cmask>[0-9a-f]+)/u,
    pciConfig,
  ],
  [
    "virtio-features",
    0,
    RECENT,
    /Features (?<features>0x[0-9a-f]+) unsupported\. Allowed features: (?<allowed>0x[0-9a-f]+)/u,
    virtio.virtioFeatures,
  ],
  [
    "virtqueue",
    0,
    RECENT,
    /VQ (?<queue>\d+) (?:size (?<size>0x[0-9a-f]+) Guest index 0x[0-9a-f]+ inconsistent with Host index (?<host>0x[0-9a-f]+)(?:: delta 0x[0-9a-f]+)?|address 0x0 inconsistent with Host index 0x[0-9a-f]+|vring\.num (?<received>\d+) exceeds allocated max (?<local>\d+))/u,
    virtio.virtqueue,
  ],
  [
    "subsection",
    0,
    ["11.1"],
    /VM subsection '(?<subsection>.*?)' in '(?<vmsd>.*?)' does not exist/u,
    devices.subsection,
  ],
  [
    "state-version",
    0,
    RECENT,
    /(?<![\w./-])(?<vmsd>[\w./-]+): incoming version_id (?<received>\d+) is too (?<age>new|old) for local (?:minimum )?version_id +(?<local>\d+)/u,
    devices.stateVersion,
  ],
  [
    "validation",
    0,
    [],
    /Input validation failed: (?<vmsd>[^\s/]+(?:\/[^\s/]+)*)\/(?<field>[^\s/]+)/u,
    devices.validation,
  ],
  [
    "equal",
    0,
    ["7.2", "11.1"],
    /(?:^|[:Z] )(?:0x)?(?<local>[0-9a-f]+) != (?:0x)?(?<received>[0-9a-f]+)$/mu,
    devices.validation,
  ],
  ["field", 1, OLD, /Failed to load (?<vmsd>[\w./ -]+?):(?<field>[\w.[\]]+)/u, devices.field],
  ["element", 1, ["11.1"], /Failed to load element of type (?<type>[^:\n]+?) for (?<field>[\w.[\]-]+)/u, devices.field],
  ["msr", 0, [], /failed to set MSR 0x(?<msr>[0-9a-f]+) to 0x(?<value>[0-9a-f]+)/u, devices.hostCpu],
  [
    "tsc",
    0,
    [],
    /TSC frequency mismatch between VM \(\d+ kHz\) and host \(\d+ kHz\), and TSC scaling unavailable/u,
    devices.hostCpu,
  ],
  // Commands, postcopy, channels.
  ["unknown-command", 0, ALL, /MIG_CMD (?<number>0x[0-9a-f]+) unknown \(len 0x[0-9a-f]+\)/u, commands.unknownCommand],
  [
    "command-length",
    0,
    ALL,
    /(?<![A-Z_])(?<command>[A-Z_]+) received with bad length - expecting (?<expected>\d+), got (?<received>\d+)/u,
    commands.commandLength,
  ],
  [
    "postcopy-ram-pages",
    0,
    ALL,
    /Postcopy needs matching (?<what>RAM) page sizes \(s=(?<received>[0-9a-f]+) d=(?<local>[0-9a-f]+)\)/u,
    commands.postcopyPages,
  ],
  [
    "postcopy-target-pages",
    0,
    ALL,
    /Postcopy needs matching (?<what>target) page sizes \(s=(?<received>\d+) d=(?<local>\d+)\)/u,
    commands.postcopyPages,
  ],
  [
    "postcopy-capability",
    0,
    ALL,
    /RAM postcopy is (?<state>disabled|enabled) but have \d+ byte advise/u,
    commands.postcopyCapability,
  ],
  [
    "command-state",
    0,
    RECENT,
    /(?<command>CMD_[A-Z_]+?)(?: in wrong postcopy state \(\d+\)| \(0x[0-9a-f]+\) received with no return path)/u,
    commands.commandState,
  ],
  [
    "multifd-protocol",
    0,
    RECENT,
    /(?:multifd is not supported by current protocol|Migration requires multi-channel URIs[^\n]*)/u,
    commands.multifdProtocol,
  ],
  [
    "multifd-packet",
    0,
    RECENT,
    /multifd: received (?:packet magic|packet version|channel version|uuid|id) '?(?<received>[0-9a-f-]+)'?(?: and)?(?: expected(?: magic| uuid)? '?(?<local>[0-9a-f-]+)'?)?(?: for channel \d+)?/u,
    commands.multifd,
  ],
  ["multifd-magic", 0, ["11.1"], /unknown channel magic: (?<received>\d+)/u, commands.multifd],
  ["multifd-receive", 0, [], /failed to receive packet via multifd channel \d+[^\n]*/u, commands.multifd],
  // Others.
  ["block-device", 0, ["7.2"], /Error unknown (?<what>block) device (?<device>\S+)/u, general.blockDevice],
  [
    "bitmap-node",
    0,
    ["7.2"],
    /(?:Cannot find device='(?<device>[^'\n]*)' nor node-name='[^'\n]*'|Unknown node alias '[^'\n]*')/u,
    general.blockDevice,
  ],
  [
    "unsupported-machine",
    0,
    RECENT,
    /(?:(?:-machine|-M) (?:type=)?(?<machine>[\w.-]+)[^\n:]*: )?unsupported machine type(?:: ['"](?<named>[\w.-]+)['"])?(?:\s+Use -machine help[^\n]*)?/u,
    general.unsupportedMachine,
  ],
  ["device-model", 0, RECENT, /'(?<device>[\w.-]+)' is not a valid device model name/u, general.deviceModel],
  [
    "not-migratable",
    0,
    [],
    /(?:State blocked by )?non-migratable device:? '?(?<device>[^'\n]+)'?/u,
    general.notMigratable,
  ],
  [
    "connection",
    2,
    [],
    /(?:Unable to (?:write to|read from) (?:socket|command): (?:Broken pipe|Connection reset by peer|Bad file descriptor)|Connection reset by peer|Channel closed)/u,
    general.connection,
  ],
  [
    "load-failed",
    2,
    ALL,
    /load of migration failed: (?<error>Invalid argument|Input\/output error|No such file or directory|Operation not supported|Operation not permitted|Numerical result out of range|Cannot allocate memory|[A-Z][a-z ]+)/u,
    general.loadFailed,
  ],
];

/** In the order in which they are tried; what one has taken is not seen by the next. */
export const KNOWN_TEXTS: readonly KnownText[] = [
  ...ROWS.map(([cause, rank, heard, pattern, explain]) => ({ cause, rank, heard, pattern, explain })),
  ...SNAPSHOT_TEXTS,
  ...STREAM_TEXTS,
  ...DEVICE_TEXTS,
  ...START_TEXTS,
  ...LIBVIRT_TEXTS,
];

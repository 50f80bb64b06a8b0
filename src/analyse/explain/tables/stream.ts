/** More texts of the loading of a stream. Source: QEMU migration/*.c, system/physmem.c (5.2 to 11.1). */
import { plainTexts, type PlainRow } from "../causes/plain.js";

const VERIFY = { what: "see whether the file is whole, and where it is not", command: ["qevm", "verify", "FILE"] };
const LOST = "the stream ended, or could not be read on, where the loader expected more (-5 is EIO)";
const SOURCE = "this is said at the source, or before anything is loaded: the file is not what is wrong";

const ROWS: readonly PlainRow[] = [
  [
    "footer-read",
    0,
    /(?:Read section footer failed: (?<error>-?\d+)|Section footer error, section_id: \d+)/u,
    "the stream ended, or could not be read on, just after a section, where its footer of five bytes belongs",
    [VERIFY],
  ],
  [
    "header-read",
    2,
    /(?:Failed to read section ID: -?\d+|Unable to read (?:ID string|instance id|version id)[\w ]*|Failed to load section ID: stream error: -?\d+|Failed to load \w+ state: stream error: -?\d+|Failed to load vmstate version_id: \d+, ret: -?\d+|Unable to read (?:node name|bitmap (?:name|alias)) string)/u,
    LOST,
    [VERIFY],
  ],
  [
    "hook",
    1,
    /(?<when>post|pre)[ -]load hook failed for: '?(?<section>[^',\n]+)'?, version_id: (?<version>\d+), minimum[ _]version(?:_id)?: \d+(?:, ret: (?<error>-?\d+))?/u,
    "the state of {section} was read whole, and then the device found values in it that it cannot have, or that its own properties do not allow: what is after it in the line, or before it, tells which",
    [{ what: "see all that the file says of its devices", command: ["qevm", "devices", "FILE"] }],
  ],
  [
    "subsection-failed",
    1,
    /Loading VM subsection '(?<subsection>[^'\n]*)' in '(?<section>[^'\n]*)' failed/u,
    "the subsection {subsection} of {section} was refused: the rest of the line tells why",
  ],
  [
    "vmstate-shape",
    0,
    /(?:inconsistent stream when loading the gtree|vmstate: get_nullptr expected VMS_NULLPTR_MARKER|VMSTATE not ending with VMS_END: [^\n]*)/u,
    "a tree or list of a device has an entry that is neither data nor its end: the bytes are damaged, or the source's fields are others than the destination's",
    [VERIFY],
  ],
  [
    "array-count",
    0,
    /Invalid value (?<received>-?\d+) expecting positive value <= (?<local>\d+)/u,
    "a count in the stream, {received}, is larger than the destination has room for, {local}: another number of CPUs, ports, registers or entries, by the CPU model, the properties of the device or the version of QEMU. Where QEMU 7.2 says it on arm (cpreg_vmstate_array_len), the source's CPU has registers that the destination's does not know",
    [{ what: "see all that the file says of its devices", command: ["qevm", "devices", "FILE"] }],
  ],
  [
    "devno",
    0,
    /Devno mismatch, tried to load wrong section![^\n]*/u,
    "the order of the channel devices (ccw) is not that of the source: give the destination the same devno= for each, in the order in which the source got them",
  ],
  [
    "ram-flags",
    0,
    /Unexpected RAM flags: (?<flags>\d+)/u,
    "a page record has flags that this loader does not take here: the bytes are damaged, or capabilities differ",
    [VERIFY],
  ],
  [
    "mapped-ram-header",
    0,
    /Migration mapped-ram (?:capability version not supported \(expected <= (?<local>\d+), got (?<received>\d+)\)|header has invalid page_size (?<size>\d+) \(expected \d+\))/u,
    "the header of a block in the mapped-ram file has a version or page size that this QEMU does not take: the file is damaged, or of a machine with other pages",
    [{ what: "make a plain stream of it", command: ["qevm", "convert", "FILE", "--out", "NEW", "--to", "stream"] }],
  ],
  [
    "mapped-ram-place",
    0,
    /(?:(?:zero )?page outside of ramblock (?<block>[^\s]+) range|offset [0-9a-f]+ ?outside of ramblock [^\s]+ range|Unable to (?:read|load) (?:bitmap|pages)[^\n]*mapped-ram[^\n]*)/u,
    "a page of the mapped-ram file would be outside its block: the bitmap of the file is damaged, or the block is smaller at the destination",
    [VERIFY],
  ],
  [
    "transport",
    0,
    /(?:Migration requires (?:seekable transport|streamable transport|a transport that allows for extra fds)[^\n]*|non-peekable channel used without multifd|fd: migration to a file is (?:deprecated|not supported)[^\n]*|unknown migration protocol(?:: [^\n]*)?|uri is not a valid migration protocol|Unable to open return-path for postcopy|Postcopy preempt is not supported as current migration stream[^\n]*)/u,
    "the URI does not fit the capabilities: mapped-ram needs file:, multifd and postcopy need tcp: or unix:, a stream from a file needs exec:, fd: or (9.0 on) file:",
    [{ what: "hand a plain stream over through a pipe", arguments: ["-incoming", "exec:cat FILE"] }],
  ],
  [
    "capability-combination",
    0,
    /(?:Mapped-ram (?:migration is incompatible with|only available)|Multifd is not compatible with|Postcopy (?:is not (?:yet )?compatible with|recovery cannot work|migration is not supported)|Postcopy preempt (?:not compatible|requires|must be set)|Multifd must be set before incoming starts|Zero copy only available|Background-snapshot is not (?:compatible|supported)|Capability (?:x-colo|x-ignore-shared|mapped-ram|'[\w-]+')[^\n]* (?:requires|not compatible)|Multifd compression is not compatible)[^\n]*/u,
    "two capabilities or parameters exclude each other, or are set too late: they are set before -incoming starts (-incoming defer, then migrate_set_capability, then migrate_incoming)",
  ],
  [
    "incoming-state",
    0,
    /(?:The incoming migration has already been started|'-incoming' was not specified on the command line|Incoming migration already deferred|Guest is waiting for an incoming migration|For use with '-incoming defer'|There's a migration [p]rocess in progress|Migration is not finalized yet|(?:Illegal migration incoming state|Migration not in expected state)[^\n]*|Dump not allowed during incoming migration)/u,
    "the QEMU is not in the state for this command: -incoming takes one load, and a QEMU whose load failed must be started anew",
  ],
  [
    "runstate",
    0,
    /invalid runstate transition: '(?<local>[\w-]+)' -> '(?<received>[\w-]+)'/u,
    "the run state that the stream carries ({received}) cannot follow that of the destination ({local}): section globalstate has it. A guest saved while it was being migrated, or after it had panicked, has such a one",
    [{ what: "start the destination paused, and let it go on after the load", arguments: ["-S"] }],
  ],
  [
    "unexpected-channel",
    1,
    /(?:Extra incoming migration connection; ignoring|missing 'cpr' migration channel|ignoring cpr channel for migration mode[^\n]*)/u,
    "a connection came that this load does not expect: more multifd channels at the source than at the destination, or a port scan",
  ],
  [
    "postcopy-host",
    0,
    /(?:Postcopy is not supported(?:: [^\n]*)?|Userfault on this host does not support huge pages|userfaultfd not available[^\n]*|(?:UFFDIO_(?:API|REGISTER) failed|Failed UFFDIO_API|Failed to open userfault fd|syscall __NR_userfaultfd failed)[^\n]*|Postcopy RAM incoming init failed|Failed to setup incoming postcopy RAM blocks|vhost-user backend not capable of postcopy|Block: [^\n]* is a nvdimm memory, postcopy ?is not supported now!)/u,
    "this host cannot load by postcopy: userfaultfd is off (sysctl vm.unprivileged_userfaultfd, or a container's seccomp), or a memory of the guest does not take it",
    [
      {
        what: "make one plain stream of it, which needs no postcopy",
        command: ["qevm", "convert", "FILE", "--out", "NEW", "--flatten"],
      },
    ],
  ],
  [
    "postcopy-failed",
    1,
    /(?:loadvm failed during postcopy: -?\d+[^\n]*|All state is migrated except dirty bitmaps[^\n]*|postcopy_ram_fault_thread: [^\n]*|Regions already registered at postcopy-listen|CMD_POSTCOPY_RAM_DISCARD [^\n]*|RAM block '(?<block>[^'\n]*)' (?:resized during|discard of resized RAM)[^\n]*|Postcopy requires RAM blocks to be a page size multiple, block \S+ [^\n]*)/u,
    "the load failed after the switch to postcopy: the source's memory is the only whole copy, and the source is paused, not ended",
  ],
  [
    "recover-bitmap",
    0,
    /(?:ramblock '(?<block>[^'\n]*)' (?:bitmap size mismatch|end mark incorrect)[^\n]*|read bitmap failed for ramblock '[^'\n]*'[^\n]*|MIG_RP_MSG_RECV_BITMAP [^\n]*|RAMBlock '[^'\n]*' not found on destination)/u,
    "the recovery of an interrupted postcopy failed: the two ends do not have the same memory blocks",
  ],
  [
    "multifd-sync",
    0,
    /(?:multifd(?: \d+)?: (?:flags received [^\n]*|packet size received [^\n]*|received (?:packet|SYNC|empty|channel id)[^\n]*|unknown ram block (?<block>[^\n]*)|unexpected EOF after packet header|offset too long [^\n]*|(?:in|de)flate [^\n]*|out of memory[^\n]*|next_packet_size [^\n]*|expected empty packet|decompressStream[^\n]*|init?DStream[^\n]*|zstd createDStream failed)|multifd \d+: [^\n]*|unterminated multifd device state idstr)/u,
    "a packet on a multifd channel is not what this QEMU expects: another number of channels, another compression (multifd-compression), another release's packet, or damaged bytes. Only of a channel's first packet is this told: behind it QEMU 7.2 to 11.1 say nothing, and hang",
    [{ what: "make one plain stream of the recording", command: ["qevm", "convert", "FILE", "--out", "NEW"] }],
  ],
  [
    "rdma",
    0,
    /(?:ram blocks mismatch \(Number of blocks (?<received>\d+) vs (?<local>\d+)\)[^\n]*|rdma: [^\n]*|RDMA ERROR: [^\n]*|rdma migration: [^\n]*)/u,
    "a migration over RDMA: both ends must have the same RAM blocks, and the hosts enough memory that may be locked (ulimit -l)",
  ],
  [
    "colo",
    0,
    /(?:ENABLE_COLO command come in migration stream, but x-colo capability is not set|failed to init colo RAM cache[^\n]*|Can't alloc memory for COLO cache[^\n]*|COLO: load device state failed|COLO incoming thread: [^\n]*)/u,
    "the source has COLO on (x-colo): the destination needs the capability too, and memory for a second copy of the guest's RAM",
    [{ what: "set it before the load", monitor: ["migrate_set_capability x-colo on"] }],
  ],
  [
    "block-stream",
    0,
    /(?:Unknown block migration flags: (?<flags>0x[0-9a-f]+)|Error getting length of block device (?<disk>\S+)|Error: unknown dirty bitmap '[^'\n]*' for block device '[^'\n]*'|(?:Error: )?Unknown bitmap alias '[^'\n]*'[^\n]*|Unknown flags in migrated dirty bitmap header: [0-9a-f]+|Migrated bitmap granularity doesn't match the destination bitmap '[^'\n]*' granularity|Bitmap with the same name \('[^'\n]*'\) already exists on destination|Cannot make migrated bitmap '[^'\n]*' persistent on read-only node '[^'\n]*'|Error reading dirty bitmap|Bitmap migration stream buffer allocation request is too large)/u,
    "the stream carries disks or dirty bitmaps, and the destination's disks do not fit: their names, sizes, bitmaps, or whether they can be written",
    [{ what: "see what the stream says of disks and bitmaps", command: ["qevm", "inspect", "FILE"] }],
  ],
  [
    "storage-keys",
    0,
    /(?:Storage (?:key|attributes) data is incomplete|Unexpected storage (?:key|attribute) flag data: 0x[0-9a-f]+|Error: [SG]etting storage keys [^\n]*|storage key (?:load|save) could not allocate memory|Could not allocate memory to save storage attributes|Error -?\d+ while setting storage attributes)/u,
    "the section of the storage keys or attributes (s390) is damaged, or longer than the destination's memory",
    [VERIFY],
  ],
  [
    "blocker",
    0,
    /(?:Migration (?:is )?disabled(?::| when)[^\n]*|Live migration disabled: [^\n]*|disallowing migration blocker [^\n]*|(?:does not|doesn't) (?:yet )?support (?:live )?migration[^\n]*|(?:is|are) (?:not yet|currently not) migratable[^\n]*|SEV(?:-SNP)?: Migration is not implemented|Migration is not supported for [^\n]*|'hv-[\w-]+(?:=auto)?' CPU flag prevents migration[^\n]*|Multiple VFIO devices migration is supported only[^\n]*|only one NVMe namespace is supported for migration|block device is in use by migration|VFIO migration is not supported[^\n]*|block \S+ should not be migrated !|Outgoing migration blocked:|x-ramfb-migrate[^\n]*|migration is not supported in kernel|Proper preallocation with migration requires[^\n]*)/u,
    `a device, disk or CPU option of the source cannot be migrated. ${SOURCE}`,
    [{ what: "unplug it at the source (device_del), or leave the option out, and save again" }],
  ],
  [
    "invtsc",
    0,
    /State blocked by non-migratable CPU device \(invtsc flag\)/u,
    `the source's CPU has invtsc on (-cpu host,migratable=off, or +invtsc), which ties the guest to one host's clock. ${SOURCE}`,
    [
      {
        what: "start the source without it, or with the frequency said, which makes it migratable",
        arguments: ["-cpu", "MODEL,invtsc=on,tsc-frequency=HZ"],
      },
    ],
  ],
];

export const STREAM_TEXTS = plainTexts(ROWS, {
  "footer-read": ["11.1"],
  "header-read": ["11.1"],
  hook: ["11.1"],
});

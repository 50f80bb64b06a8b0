/**
 * libvirt's own messages. Source: libvirt src/qemu/qemu_saveimage.c, qemu_migration.c, qemu_process.c, qemu_domain.c,
 * src/conf/domain_conf.c, src/cpu (9.0 to 11.3).
 */
import { plainTexts, type PlainRow } from "../causes/plain.js";

const LOG = {
  what: "read QEMU's own words, and give them to qevm explain",
  command: ["tail", "-n", "40", "/var/log/libvirt/qemu/NAME.log"],
};
const LOOK = { what: "see what the file is, and where it is damaged", command: ["qevm", "explain", "FILE"] };
const XML = { what: "look at the domain XML in it, and change it", command: ["virsh", "save-image-edit", "FILE"] };

const ROWS: readonly PlainRow[] = [
  [
    "libvirt-job",
    2,
    /(?:operation failed: )?(?:job '(?<job>[\w ]+)' (?:unexpectedly )?failed|migration(?: out| in)? job: (?:unexpectedly failed|is not active|[^\n]*)|migration was active, but no RAM info was set)|operation failed: job(?: [^\n]*)?/u,
    "libvirt's word for a load or save that failed, whatever the reason: QEMU's log has it",
    [LOG],
  ],
  [
    "libvirt-monitor",
    2,
    /(?:[p]rocess exited while connecting to monitor|(?:QEMU|qemu) unexpectedly closed the monitor(?: \(vm='(?<name>[^'\n]*)'\))?|End of file from qemu monitor|Unable to read from monitor: [^\n]*)/u,
    "QEMU ended: what it said is after this, or in its log",
    [LOG],
  ],
  [
    "libvirt-cpu",
    0,
    /(?:guest CPU doesn't match specification(?:: (?<differs>[^\n]*))?|(?:guest and host CPU are not compatible|the CPU is incompatible with host CPU)(?:: [^\n]*)?|Host CPU does not provide required features: (?<features>[^\n]*)|CPU mode '[^'\n]*' for [^\n]* is not supported[^\n]*|unknown CPU (?:model|feature):? [^\n]*|CPU model [^\n]* not supported by hypervisor)/u,
    "the CPU in the saved domain XML is not what this host can give: the guest was saved with these features and may be using them ({differs}{features})",
    [
      { what: "restore on a host of the source's kind" },
      {
        what: "or take features out of the saved XML, if the guest does not use them",
        command: ["virsh", "save-image-edit", "FILE"],
      },
    ],
  ],
  [
    "libvirt-image",
    0,
    /(?:unable to read from save image|failed to read (?:qemu header|domain XML|cookie)|image magic is incorrect|image version is not supported \(\d+ > \d+\)|invalid header data length: -?\d+|[Ii]nvalid compressed save format -?\d+|unsupported save image format: -?\d+|new xml too large to fit in file|cannot close file: [^\n]*)/u,
    "libvirt cannot read the head of the save image: it is cut, is not a save image (a bare stream is none), or is of a later libvirt",
    [LOOK],
  ],
  [
    "libvirt-incomplete",
    0,
    /save image is incomplete/u,
    "the image begins with LibvirtQemudPart: saving was broken off, or a disk was full. libvirt refuses it; what memory is in it can be read",
    [
      {
        what: "save what is there",
        command: ["qevm", "extract", "FILE", "--format", "blocks", "--out", "DIR", "--lenient"],
      },
    ],
  ],
  [
    "libvirt-machine",
    0,
    /(?:Emulator '[^'\n]*' does not support machine type '(?<received>[^'\n]*)'|[Uu]nsupported configuration: unsupported machine type '[^'\n]*')/u,
    "the host's QEMU does not have the machine type of the saved domain",
    [
      {
        what: "name one that it has, in the XML and in the stream",
        command: ["qevm", "convert", "FILE", "--out", "NEW", "--to", "libvirt", "--machine", "TYPE"],
      },
      { what: "and restore that", command: ["virsh", "restore", "NEW"] },
    ],
  ],
  [
    "libvirt-abi",
    0,
    /Target (?:domain )?(?<what>[\w ./-]+?) (?:'?[^'\n]*'? )?does not match(?: source)?(?: '?[^'\n]*'?)?|(?:requires force: )?Target device [^\n]*/u,
    "the XML that was given differs from the saved one in what the guest sees: {what}. libvirt allows changes of disks' files, names and the like, not of the hardware",
    [XML],
  ],
  [
    "libvirt-exists",
    0,
    /(?:cannot restore domain '[^'\n]*' uuid \S+ from a file which belongs to domain '[^'\n]*' uuid \S+|domain '[^'\n]*' already exists with uuid \S+|domain '[^'\n]*' is already (?:defined|active)[^\n]*|domain is already (?:running|active)|another domain with (?:this|the same)[^\n]*)/u,
    "a domain of that name or UUID is there already",
    [XML],
  ],
  [
    "libvirt-unsafe",
    0,
    /(?:Unsafe migration: [^\n]*|Migration without shared storage is unsafe|[Cc]annot migrate (?:a )?domain[^\n]*|domain has (?:assigned|active|\d+)[^\n]*(?:devices|snapshots|checkpoints)[^\n]*|Migration with (?:lease|storage)[^\n]*not supported[^\n]*|Nested job not allowed)/u,
    "libvirt refuses the migration before it begins: nothing of a stream is wrong",
  ],
  [
    "libvirt-file",
    0,
    /(?:Failed to open file '(?<file>[^'\n]*)': [^\n]*|Cannot access (?:storage file|backing file) '[^'\n]*'[^\n]*|Unable to (?:set user and group|restore security label|set security context)[^\n]*|cannot access storage file[^\n]*)/u,
    "a file that the saved domain names (a disk, ISO, firmware, or the image itself) is not there, or libvirt may not open it",
    [XML],
  ],
  [
    "libvirt-decompress",
    0,
    /(?:Cannot find (?:compression program|'?(?:gzip|bzip2|xz|lzop|zstd)'? in path)[^\n]*|Error from child [p]rocess creating[^\n]*|Child [p]rocess \((?:gzip|bzip2|xz|lzop|zstd) -dc\) unexpected[^\n]*|Unable to start (?:de)?compress[^\n]*)/u,
    "the image is compressed, and the program for it is missing or failed",
    [
      {
        what: "write it uncompressed",
        command: ["qevm", "convert", "FILE", "--out", "NEW", "--to", "libvirt", "--compression", "raw"],
      },
    ],
  ],
];

export const LIBVIRT_TEXTS = plainTexts(ROWS);

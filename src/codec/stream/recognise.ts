import { roleOf } from "./roles.js";

/** What bytes are that are not a migration stream. */
interface Recognised {
  /** With its article: "a zip archive". */
  what: string;
  /** What to do with it, as a sentence without a capital. */
  advice: string;
  /** It may contain a stream, unpacked. */
  searchable: boolean;
}

type Row = readonly [what: string, advice: string, matches: (head: Uint8Array) => boolean];

const MEMORY = "it has memory and no device state, so it is not a stream: use a tool for memory images";
const OTHER_MONITOR = "it is of another virtual machine monitor, whose format is not read here";
const DISK = "a disk has no migration stream, unless it is a qcow2 image with a snapshot that holds the VM state";
const CONTAINER = "openStream takes this off in Node only: `qevm convert FILE --out STREAM` makes a bare stream of it";

/** Piped through another program. */
function through(program: string): string {
  return `give it as ${program} | qevm COMMAND -`;
}

/** What is packed or wrapped: nothing can be found in it by looking for a header. */
const WRAPPED: readonly Row[] = [
  ["a libvirt save image", CONTAINER, begins("LibvirtQemudSave")],
  ["a libvirt save image that was not finished", CONTAINER, begins("LibvirtQemudPart")],
  ["a qcow2 image", CONTAINER, begins("QFI\xfb")],
  ["a gzip file", CONTAINER, begins("\x1f\x8b\x08")],
  ["a zstd file", CONTAINER, begins("\x28\xb5\x2f\xfd")],
  ["an xz file", CONTAINER, begins("\xfd7zXZ\0")],
  ["a bzip2 file", CONTAINER, (head) => begins("BZh")(head) && head[3]! >= 0x31 && head[3]! <= 0x39],
  ["an lz4 file", CONTAINER, any(begins("\x04\x22\x4d\x18"), begins("\x02\x21\x4c\x18"))],
  ["an lzop file", CONTAINER, begins("\x89LZO\0\r\n\x1a\n")],
  ["an lzip file", through("lzip -dc FILE"), begins("LZIP\x01")],
  ["an lzma file", through("xz --format=lzma -dc FILE"), isLzma],
  ["an lrzip file", through("lrzip -d -o - FILE"), begins("LRZI")],
  ["a compress (.Z) file", through("zcat FILE"), begins("\x1f\x9d")],
  ["a snappy file", "decompress it first", begins("\xff\x06\0\0sNaPpY")],
  ["a zip archive", through("unzip -p FILE"), any(begins("PK\x03\x04"), begins("PK\x05\x06"))],
  ["a 7z archive", through("7z x -so FILE"), begins("7z\xbc\xaf\x27\x1c")],
  ["a rar archive", through("unrar p -inul FILE"), begins("Rar!\x1a\x07")],
  ["a Proxmox VMA backup", "it holds disks and a configuration: `vma extract` takes them out", begins("VMA\0")],
  ["a file encrypted by GnuPG", "decrypt it first", begins("-----BEGIN PGP")],
  ["a file encrypted by OpenSSL", "decrypt it first", begins("Salted__")],
  ["a file encrypted by age", "decrypt it first", begins("age-encryption.org/")],
  ["a LUKS volume", "open it first, and give the device", begins("LUKS\xba\xbe")],
  ["a pointer of Git LFS", "fetch the file itself: git lfs pull", begins("version https://git-lfs")],
  ["a web page", "the download went wrong", any(begins("<!DOCTYPE"), begins("<!doctype"), begins("<html"))],
  ["a domain XML of libvirt", "the stream is in the save image", any(begins("<domain"), begins("<?xml"))],
  ["JSON", "Cloud Hypervisor's snapshots and manifests of qevm are JSON: give the stream", isJson],
  ["a Firecracker snapshot", OTHER_MONITOR, isFirecracker],
  ["a VirtualBox saved state", OTHER_MONITOR, begins("\x7fVirtualBox SavedState")],
  ["a VMware suspend or snapshot file (.vmss, .vmsn)", OTHER_MONITOR, isVmware],
];

/** Files that may contain an unpacked stream. */
const PLAIN: readonly Row[] = [
  ["CPR state, files that are handed over", "the stream is sent over another connection", begins("QCPR")],
  ["a tar archive", through("tar -xOf FILE MEMBER"), at(257, "ustar")],
  ["an ELF core", MEMORY, (head) => begins("\x7fELF")(head) && (head[16] === 4 || head[17] === 4)],
  ["an ELF file", "it is a program or library", begins("\x7fELF")],
  ["a kdump dump", MEMORY, any(begins("KDUMP   "), begins("DISKDUMP"), begins("makedumpfile\0"))],
  ["a LiME memory image", MEMORY, begins("EMiL")],
  ["an AVML memory image", MEMORY, begins("AVML")],
  ["a Windows crash dump", MEMORY, any(begins("PAGEDU64"), begins("PAGEDUMP"))],
  ["a Xen save file (libxc)", OTHER_MONITOR, begins("\xff\xff\xff\xff\xff\xff\xff\xffXENF")],
  ["a Xen save file (xm)", OTHER_MONITOR, begins("LinuxGuestRecord")],
  ["a Hyper-V saved state (.vmrs)", OTHER_MONITOR, begins("\x14\x20\x28\x01")],
  ["a VMDK image", DISK, any(begins("KDMV"), begins("# Disk DescriptorFile"))],
  ["a VDI image", DISK, begins("<<< ")],
  ["a VHDX image", DISK, begins("vhdxfile")],
  ["a VHD image", DISK, begins("conectix")],
  ["a QED image", DISK, begins("QED\0")],
  ["a raw disk with a GPT", DISK, at(512, "EFI PART")],
  ["an LVM physical volume", DISK, at(512, "LABELONE")],
  ["a raw disk with an ext2, ext3 or ext4 file system", DISK, at(1080, "\x53\xef")],
  ["a raw disk with an XFS file system", DISK, begins("XFSB")],
  ["a raw disk with a boot sector", DISK, at(510, "\x55\xaa")],
];

const CHANNELS = {
  multifd: "one channel of a multifd migration, with packets of pages alone",
  preempt: "the channel for urgent pages of a postcopy migration (postcopy-preempt)",
  "return-path": "a return path: what a destination sends to its source",
  resumed: "a stream resumed after a connection broke, without its beginning",
} as const;

/** Bytes of a file's beginning that `recognise` looks at. */
export const RECOGNISED_BY = 2048;

/** Identifies a file by its first bytes; undefined: unknown, or the head of a stream. */
export function recognise(head: Uint8Array): Recognised | undefined {
  for (const [what, advice, matches] of WRAPPED) if (matches(head)) return { what, advice, searchable: false };
  for (const [what, advice, matches] of PLAIN) if (matches(head)) return { what, advice, searchable: true };
  const role = roleOf(head.subarray(0, 266));
  if (role === undefined || role === "main") return undefined;
  const advice = "put the files of all channels into one folder and give that: the main one begins with QEVM";
  return { what: CHANNELS[role], advice, searchable: true };
}

function begins(text: string): (head: Uint8Array) => boolean {
  return at(0, text);
}

/** Each character is one byte. */
function at(offset: number, text: string): (head: Uint8Array) => boolean {
  return (head) => {
    if (head.length < offset + text.length) return false;
    for (let i = 0; i < text.length; i++) if (head[offset + i] !== text.charCodeAt(i)) return false;
    return true;
  };
}

function any(...tests: ((head: Uint8Array) => boolean)[]): (head: Uint8Array) => boolean {
  return (head) => tests.some((test) => test(head));
}

/** Properties 5d (lc 3, lp 0, pb 2), a dictionary of 2^n or 2^n + 2^(n-1) bytes, a length below 2^40 or all ones. */
function isLzma(head: Uint8Array): boolean {
  if (head.length < 14 || head[0] !== 0x5d || head[13] !== 0) return false;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const dictionary = view.getUint32(1, true);
  const power = 31 - Math.clz32(dictionary);
  const whole = dictionary === 2 ** power || dictionary === 2 ** power + 2 ** (power - 1);
  const length = view.getBigUint64(5, true);
  return dictionary >= 4096 && (whole || dictionary === 0xffffffff) && (length < 1n << 40n || length === ~(-1n << 64n));
}

function isJson(head: Uint8Array): boolean {
  return /^\s*\{\s*"/u.test(String.fromCharCode(...head.subarray(0, 64)));
}

/**
 * be64 0x07101984, then 0x8664 (x86) or 0xaaaa (aarch64), then 0; little-endian. Source: Firecracker's snapshot format.
 */
function isFirecracker(head: Uint8Array): boolean {
  return any(begins("\0\0\x64\x86\x84\x19\x10\x07"), begins("\0\0\xaa\xaa\x84\x19\x10\x07"))(head);
}

/** Little-endian 0xbed2bed0, 0xbad1bad1, 0xbed2bed2 or 0xbed3bed3. */
function isVmware(head: Uint8Array): boolean {
  return any(
    begins("\xd0\xbe\xd2\xbe"),
    begins("\xd1\xba\xd1\xba"),
    begins("\xd2\xbe\xd2\xbe"),
    begins("\xd3\xbe\xd3\xbe"),
  )(head);
}

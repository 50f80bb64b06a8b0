import { hex, type QevmError } from "../../../bytes/errors.js";
import { latin1, type QemuFileReader } from "../../../bytes/reader.js";
import { LIBXC_MAGIC, LIBXL_MAGIC } from "./magics.js";

/**
 * What Xen's tools put around the device model's stream (`xen-save-devices-state`). Integers of the records have the
 * byte order that the header says.
 *
 * | begins with                              | then                                                                       |
 * |------------------------------------------|----------------------------------------------------------------------------|
 * | `Xen saved domain, xl format\n \0 \r`    | u32 0x01020304, mandatory flags (2: libxl stream), optional flags, n; n    |
 * |                                          | bytes: the domain's configuration; a libxl stream                           |
 * | `libvirt-xml\n \0 \r`                    | u32 version (2: libxl stream), n, ten unused; n bytes of XML; a libxl stream |
 * | `LibxlFmt`                               | be32 version 2, be32 options (1: big-endian); records up to END              |
 * | `DeviceModelRecord0002`, `RemusDevice..` | u32 n; n bytes of the device model's stream                                 |
 * | `QemuDeviceModelRecord`                  | the device model's stream up to the end                                     |
 *
 * A record is u32 type, u32 n, n bytes, zeros up to a multiple of 8. After a LIBXC_CONTEXT the libxc stream follows: 8 x
 * 0xff, `XENF`, be32 version, be16 options, 6 bytes; u32 type of the domain, u16 page shift, u16, u32 Xen's major and
 * minor version; then records of the same form up to END or CHECKPOINT.
 *
 * Source: Xen 4.17, docs/specs/libxl-migration-stream.pandoc and libxc-migration-stream.pandoc, tools/xl/xl.h; libvirt
 * 9.0, src/libxl/libxl_conf.h.
 */

/** Records of one name that follow each other. */
export interface XenRecords {
  /** `PAGE_DATA`, `EMULATOR_CONTEXT`, ...: as Xen's specification names it. */
  name: string;
  /** Absolute offset of the first one. */
  offset: number;
  count: number;
  /** Bytes of their bodies, without padding. */
  bytes: number;
}

/** The domain header of the libxc stream. */
export interface XenDomain {
  /** `x86 HVM`, `x86 PV`, ... */
  type: string;
  /** Bytes. */
  pageSize: number;
  /** Version of the Xen that saved it, `4.17`. */
  xen: string;
}

const LIBXL_RECORDS = [
  "END",
  "LIBXC_CONTEXT",
  "EMULATOR_XENSTORE_DATA",
  "EMULATOR_CONTEXT",
  "CHECKPOINT_END",
  "CHECKPOINT_STATE",
];

const LIBXC_RECORDS = [
  "END",
  "PAGE_DATA",
  "X86_PV_INFO",
  "X86_PV_P2M_FRAMES",
  "X86_PV_VCPU_BASIC",
  "X86_PV_VCPU_EXTENDED",
  "X86_PV_VCPU_XSAVE",
  "SHARED_INFO",
  "TSC_INFO",
  "HVM_CONTEXT",
  "HVM_PARAMS",
  "TOOLSTACK",
  "X86_PV_VCPU_MSRS",
  "VERIFY",
  "CHECKPOINT",
  "CHECKPOINT_DIRTY_PFN_LIST",
  "STATIC_DATA_END",
  "X86_CPUID_POLICY",
  "X86_MSR_POLICY",
];

const DOMAINS = ["reserved", "x86 PV", "x86 HVM", "x86 PVH", "ARM"];
/** Entries of the list of records at most: pages and vCPUs are merged. */
const MOST_ENTRIES = 10_000;

/** The records of a Xen save, in their order. */
export class XenReader {
  readonly records: XenRecords[] = [];
  domain: XenDomain | undefined;
  private little = true;

  constructor(private readonly reader: QemuFileReader) {}

  /** A u32 of a header or record, in the byte order of the file. */
  async u32(what: string): Promise<number> {
    await this.reader.need(4, what);
    const view = this.reader.view(4);
    return new DataView(view.buffer, view.byteOffset, 4).getUint32(0, this.little);
  }

  /** Reads the header of a libxl stream. Errors: bad-magic, unsupported. */
  async header(): Promise<void> {
    const { reader } = this;
    await this.magic(LIBXL_MAGIC);
    await reader.need(8, "the libxl header");
    const version = reader.u32();
    if (version !== 2) throw this.other("version of the libxl stream", "2", `${version}`);
    this.little = (reader.u32() & 1) === 0;
  }

  /** Sets the byte order by a word that is 0x01020304 in it. Errors: bad-value. */
  async byteOrder(): Promise<void> {
    const word = await this.u32("the byte order of the xl header");
    if (word === 0x04030201) this.little = !this.little;
    else if (word !== 0x01020304) {
      const offset = this.reader.offset - 4;
      throw this.reader.error("bad-value", "byte order of the xl header", {
        offset,
        expected: "0x01020304",
        found: hex(word),
      });
    }
  }

  /**
   * Passes over records to the body of an EMULATOR_CONTEXT of QEMU's. Returns the bytes of the stream in it; undefined:
   * there is none. Memory pages are passed over too. Errors: truncated, bad-magic, bad-value, limit.
   */
  async toEmulator(): Promise<number | undefined> {
    const { reader } = this;
    for (;;) {
      const { type, length } = await this.record(LIBXL_RECORDS, "libxl");
      const name = LIBXL_RECORDS[type];
      if (name === "END") return undefined;
      if (name === "EMULATOR_CONTEXT") {
        const emulator = await this.u32("the emulator of an EMULATOR_CONTEXT record");
        await this.u32("the index of an EMULATOR_CONTEXT record");
        if (length < 8) throw this.other("length of an EMULATOR_CONTEXT record", "at least 8", `${length}`);
        // 1 is qemu-traditional, which has another format.
        if (emulator !== 1) return length - 8;
        await reader.discard(padded(length) - 8, "an EMULATOR_CONTEXT record");
      } else {
        await reader.discard(padded(length), "a libxl record");
      }
      if (name === "LIBXC_CONTEXT") await this.libxc();
    }
  }

  /** Passes over a libxc stream; one with checkpoints goes on without headers. */
  private async libxc(): Promise<void> {
    const { reader } = this;
    if (this.domain === undefined) {
      await this.magic(LIBXC_MAGIC);
      // Version, and the byte order, which is that of the libxl stream: one machine wrote both.
      await reader.discard(12, "the libxc header");
      const type = await this.u32("the libxc domain header");
      // u16 page shift, u16 reserved.
      const word = await this.u32("the libxc domain header");
      const pageSize = 2 ** (this.little ? word & 0xffff : word >>> 16);
      const major = await this.u32("the libxc domain header");
      const minor = await this.u32("the libxc domain header");
      this.domain = { type: DOMAINS[type] ?? `type ${type}`, pageSize, xen: `${major}.${minor}` };
    }
    for (;;) {
      const { type, length } = await this.record(LIBXC_RECORDS, "libxc");
      await reader.discard(padded(length), "a libxc record");
      const name = LIBXC_RECORDS[type];
      if (name === "END" || name === "CHECKPOINT") return;
    }
  }

  private async record(names: readonly string[], what: string): Promise<{ type: number; length: number }> {
    const { offset } = this.reader;
    const type = await this.u32(`the header of a ${what} record`);
    const length = await this.u32(`the header of a ${what} record`);
    // Records above are optional: a reader that does not know them passes over them.
    if (names[type] === undefined && type < 0x80000000) {
      const found = hex(type);
      throw this.reader.error("bad-value", `type of a ${what} record`, {
        offset,
        expected: `at most ${hex(names.length - 1)}`,
        found,
      });
    }
    this.note(names[type] ?? hex(type), offset, length);
    return { type, length };
  }

  private note(name: string, offset: number, bytes: number): void {
    const last = this.records.at(-1);
    if (last?.name === name) {
      last.count++;
      last.bytes += bytes;
      return;
    }
    if (this.records.length >= MOST_ENTRIES) {
      throw this.reader.error("limit", "a Xen save with too many kinds of records", { offset });
    }
    this.records.push({ name, offset, count: 1, bytes });
  }

  /** Errors: bad-magic. */
  async magic(text: string): Promise<void> {
    const { reader } = this;
    const { offset } = reader;
    await reader.need(text.length, "a header of a Xen save");
    const found = latin1(reader.view(text.length));
    if (found === text) return;
    throw reader.error("bad-magic", "a header of a Xen save", {
      offset,
      expected: JSON.stringify(text),
      found: JSON.stringify(found),
    });
  }

  private other(what: string, expected: string, found: string): QevmError {
    return this.reader.error("unsupported", what, { offset: this.reader.offset - 4, expected, found });
  }
}

function padded(length: number): number {
  return Math.ceil(length / 8) * 8;
}

import { QevmError } from "../../../bytes/errors.js";
import { latin1 } from "../../../bytes/reader.js";
import { isRandom } from "../../../bytes/source.js";
import { RestSource, SliceSource } from "../sources.js";
import type { Container, Found, Step } from "../types.js";
import { LIBVIRT_XEN_MAGIC, LIBXL_MAGIC, SIGNATURES, XL_MAGIC } from "./magics.js";
import { XenReader } from "./records.js";

/** Mandatory flag of the xl header: a libxl stream follows. */
const STREAM_V2 = 2;

/**
 * Opens a save file of Xen's tools: the stream of its device model, which is in it with the guest's memory before it.
 * Errors: truncated, bad-magic, bad-value; unsupported (before Xen 4.6; a guest without a device model).
 */
export async function openXen({ source, reader, head }: Found): Promise<Step> {
  const { offset } = reader;
  const xen = new XenReader(reader);
  const begins = latin1(head.subarray(0, 32));
  let format: Extract<Container, { kind: "xen" }>["format"] = "libxl";
  let length: number | undefined;
  const signature = SIGNATURES.find((one) => begins.startsWith(one));
  if (signature === undefined) {
    if (begins.startsWith(XL_MAGIC)) {
      format = "xl";
      await xen.magic(XL_MAGIC);
      await xen.byteOrder();
      const flags = await xen.u32("the xl header");
      if ((flags & STREAM_V2) === 0) throw legacy(reader.offset - 4);
      await xen.u32("the xl header");
      await reader.discard(await xen.u32("the xl header"), "the configuration of an xl save file");
    } else if (begins.startsWith(LIBVIRT_XEN_MAGIC)) {
      format = "libvirt";
      await xen.magic(LIBVIRT_XEN_MAGIC);
      if ((await xen.u32("the header of a libvirt save file")) < 2) throw legacy(reader.offset - 4);
      const xml = await xen.u32("the header of a libvirt save file");
      await reader.discard(40 + xml, "the domain XML of a libvirt save file");
    }
    await xen.header();
    length = await xen.toEmulator();
    if (length === undefined) {
      throw new QevmError("unsupported", "a Xen save without a device model's state: the guest had no QEMU", {
        offset: reader.offset,
        expected: "an EMULATOR_CONTEXT record",
        found: "END",
      });
    }
  } else {
    format = "record";
    await xen.magic(signature);
    if (signature !== SIGNATURES[2]) length = await xen.u32("the length of a device model's record");
  }
  const { records, domain } = xen;
  const container: Container = { kind: "xen", format, offset, records, ...(domain === undefined ? {} : { domain }) };
  const rest = isRandom(source)
    ? new SliceSource(source, reader.offset - offset, length)
    : new RestSource(reader, length);
  // A record may be inside of a libxl stream.
  return { container, source: rest, last: false };
}

function legacy(offset: number): QevmError {
  return new QevmError("unsupported", "a save file of Xen before 4.6", {
    offset,
    expected: `a stream that begins with ${LIBXL_MAGIC}`,
  });
}

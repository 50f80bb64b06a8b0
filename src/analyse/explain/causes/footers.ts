/** Texts about section footers. Source: QEMU migration/savevm.c check_section_footer (5.2 to 11.1). */
import { damageNote, verify, type Answer, type Context, type Parts } from "../context.js";
import { at, quoted } from "../words.js";
import { findSection, placeOf } from "./sections.js";

/** "Missing section footer for x". */
export function footerMissing({ section = "" }: Parts, context: Context): Answer {
  const { survey } = context;
  const found = findSection(context, section);
  const about = { section, streamOffset: found?.streamOffset, instance: found?.instance };
  const why = [
    "after each section's payload there must be a footer, 0x7e and the section's id; the loader found another byte where it stopped reading",
  ];
  if (survey.inspection.footers === false) {
    return {
      about,
      here: "the sections of this file have no footers",
      why,
      remedies: { what: "tell the destination so", arguments: ["-global", "migration.send-section-footer=off"] },
    };
  }
  const damage = survey.damage.find(({ path }) => path.some((step) => step.includes(quoted(section))));
  const opaque = survey.inspection.undecoded.find(
    (one) => found !== undefined && one.streamOffset === found.streamOffset,
  );
  if (damage !== undefined || found === undefined || opaque !== undefined) {
    return {
      about,
      here: [
        found === undefined ? `no section ${quoted(section)} was read in this file` : placeOf(found),
        ...damageNote(context),
        opaque?.reason,
      ],
      why,
      remedies: verify(context, "find what is wrong"),
    };
  }
  const device = survey.devices.find((one) => one.offset === found.streamOffset);
  const summary = survey.inspection.sections.find(({ streamOffset: offset }) => offset === found.streamOffset);
  const says = summary?.describedBy === undefined ? "its description says" : `the ${summary.describedBy} has them`;
  return {
    about,
    here: [
      `${placeOf(found)} is whole: its fields are as long as ${says}, and its footer is there`,
      device && `its payload is ${device.length} bytes from ${at(device.payload).slice(3)}`,
    ],
    why: [
      ...why,
      `so that QEMU's ${quoted(section)} reads another number of bytes than the source's wrote: a device of the same name with other properties (queues, outputs, ports), or of a QEMU whose fields differ`,
      ...knownDifference(section),
    ],
    remedies: {
      what: "give the device the properties that it had at the source, or load it in the version that wrote it",
    },
  };
}

/** Differences that loads by real QEMUs have shown (chapter 21). */
function knownDifference(section: string): string[] {
  if (section.endsWith("/pciespscsi")) return ["seen: what 7.2 writes of am53c974 is refused so by 10.0 and 11.1"];
  if (section.endsWith("/virtio-gpu"))
    return ["seen: what 7.2 writes of virtio-gpu-pci with two outputs is refused so by 10.0 and 11.1"];
  return [];
}

/** "Mismatched section id in footer for x - read 0xa expected 0xb". */
export function footerMismatch({ section = "", received = "", local = "" }: Parts, context: Context): Answer {
  const found = findSection(context, section);
  const damage = context.survey.damage.find(({ code }) => code === "bad-footer");
  return {
    about: { section, streamOffset: damage?.offset, value: Number(received), local: Number(local) },
    here: [
      found && placeOf(found),
      ...(damage === undefined ? ["every footer of this file names its own section"] : damageNote(context)),
    ],
    why: `a footer repeats the id of its section: ${Number(local)} was expected, ${Number(received)} read. The bytes are damaged, or the loader took a byte 0x7e inside the payload for a footer`,
    remedies: verify(context),
  };
}

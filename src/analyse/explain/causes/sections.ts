/** Texts about sections as a whole. Source: QEMU migration/savevm.c (5.2 to 11.1). */
import { hex } from "../../../bytes/errors.js";
import { damageNote, damageOffset, elsewhere, verify, type Answer, type Context, type Parts } from "../context.js";
import { at, counted, quoted, some } from "../words.js";
import type { Remedy } from "../types.js";
import { sectionHint } from "./section-hints.js";
import { machineWord } from "../names.js";

/** `section 34 "0000:00:03.0/virtio-net", type FULL, at byte 0x10, 50000 bytes`. */
export function placeOf({
  id,
  section: name,
  type,
  streamOffset: offset,
  sectionLength: length,
}: Context["survey"]["inspection"]["sections"][number]): string {
  return `section ${id} ${quoted(name)} (${type.toUpperCase()}, ${length} bytes) ${at(offset)}`;
}

/** The section's START or FULL in this file. */
export function findSection(
  { survey }: Context,
  name: string,
  instance?: number,
): Context["survey"]["inspection"]["sections"][number] | undefined {
  return survey.inspection.sections.find(
    (one) =>
      one.section === name &&
      (instance === undefined || one.instance === instance) &&
      (one.type === "full" || one.type === "start"),
  );
}

/** Where a section is that could not be decoded: in a part of the stream that no description covers. */
export function seenWords({ survey }: Context, name: string): string[] {
  const offset = survey.seen.get(name);
  return offset === undefined ? [] : [`section ${quoted(name)} begins ${at(offset)}, in a part that is not decoded`];
}

/** "Unknown savevm section or instance 'x' 0". */
export function unknownSection({ section = "", number = "0" }: Parts, context: Context): Answer {
  const instance = Number(number);
  const found = findSection(context, section, instance);
  const why = [
    "that QEMU has nothing of this name and instance: a device that the source had is missing, or is at another place",
  ];
  if (found === undefined) {
    const others = context.survey.inspection.sections.filter(
      ({ section: name }) => name === section || name.endsWith(`/${section.split("/").at(-1)}`),
    );
    const near =
      others.length === 0
        ? ""
        : `; it has ${some(
            others.map((one) => `${quoted(one.section)} ${one.instance}`),
            4,
          )}`;
    return {
      about: { section, instance },
      here: `this file has no section ${quoted(section)} ${instance}${near}${elsewhere(context)}`,
      why,
    };
  }
  const remedies: Remedy[] = sectionHint(found, context);
  const { devices } = context.destination;
  const ours = devices.filter((one) => one.section === section && one.instance === instance);
  // What it hangs on comes with it.
  const bridges = devices.filter((one) =>
    ours.some(({ argument }) => argument.split(",").includes(`bus=${/\bid=([^,]+)/u.exec(one.argument)?.[1] ?? ""}`)),
  );
  if (ours.length > 0) {
    remedies.unshift({
      what:
        bridges.length > 0
          ? "give the destination the device, and what it is behind"
          : "give the destination the device",
      arguments: [...bridges, ...ours].flatMap(({ argument }) => ["-device", argument]),
    });
    const also = ours.flatMap((one) => one.also);
    if (also.length > 0)
      remedies.push({
        what: `the name of the section does not tell it from ${also.join(", ")}: take what the source had`,
      });
  }
  const others = devices.length - ours.length;
  if (others > 0) {
    why.push(
      `the loader stops at the first that it does not know: this file has ${counted(others, "other device")} that the destination needs, listed below`,
    );
  }
  return { about: { section, instance, streamOffset: found.streamOffset }, here: placeOf(found), why, remedies };
}

/** "unsupported version 9 for 'x' v4". */
export function sectionVersion({ section = "", received = "", local = "" }: Parts, context: Context): Answer {
  const found = findSection(context, section);
  const version = found?.version;
  return {
    about: {
      section,
      streamOffset: found?.streamOffset,
      instance: found?.instance,
      value: found?.version,
      local: Number(local),
    },
    here: [
      found === undefined
        ? `this file has no section ${quoted(section)}`
        : `${placeOf(found)} is of version ${version}`,
      ...damageNote(context),
    ],
    why: `that QEMU knows ${quoted(section)} up to version ${local}, and ${received} is later: it was written by a newer QEMU, whose device has fields that the older one cannot read${section === "ram" ? " (ram has been of version 4 since 2009: another number is damage)" : ""}`,
    remedies: { what: "load it in the QEMU that wrote it, or a later one" },
  };
}

/** "Unknown savevm section 119". */
export function unknownId({ number = "0" }: Parts, context: Context): Answer {
  const id = Number(number);
  const known = context.survey.inspection.sections.find((one) => one.id === id);
  return {
    about: { streamOffset: damageOffset(context), value: id },
    here: [
      known === undefined ? `no section of this file was started with id ${id}` : placeOf(known),
      ...damageNote(context),
    ],
    why: "PART and END name their section by the id that its START had; an id that no START had means that bytes before it are damaged, or that a loader lost its place",
    remedies: verify(context),
  };
}

/** What a loader may have met instead of a section. */
const OTHER_TYPES: Readonly<Record<number, [string, Remedy?]>> = {
  0x06: ["0x06 begins a VMDESCRIPTION: the loader believes to be still among the sections"],
  0x07: [
    "0x07 begins the configuration section, for which that QEMU does not look: its machine type is one up to 2.3, or send-configuration is off",
    { what: "let the destination expect it", arguments: ["-global", "migration.send-configuration=on"] },
  ],
  0x7e: [
    "0x7e begins a footer, which that QEMU does not expect: its machine type is one up to 2.3, or send-section-footer is off",
    { what: "let the destination expect footers", arguments: ["-global", "migration.send-section-footer=on"] },
  ],
  0x08: ["0x08 begins a command, which QEMU knows since 2.5"],
};

/** "Unknown savevm section type 85". */
export function unknownType({ number = "0" }: Parts, context: Context): Answer {
  const type = Number(number);
  const [words, remedy] = OTHER_TYPES[type] ?? [];
  const { configuration, inspection } = context.survey;
  const offset = type === 7 ? configuration?.offset : damageOffset(context);
  const here = damageNote(context);
  if (type === 7 && configuration !== undefined)
    here.unshift(`the configuration section is ${at(configuration.offset)}`);
  if (type === 0x7e && inspection.footers === true) here.unshift("the sections of this file have footers");
  if (here.length === 0)
    here.push(
      "every section of this file begins with a type that QEMU knows: the loader lost its place in the section before, which its device reads with another length than the source wrote",
    );
  return {
    about: { streamOffset: offset, value: hex(type) },
    here,
    why: words ?? `where a section, command or EOF should begin, there is ${hex(type)}`,
    remedies: remedy ?? verify(context, "see which section is wrong"),
  };
}

/** "Expected vmdescription section, but got 0": said, but not fatal. */
export function noDescription({ number = "0" }: Parts, { survey }: Context): Answer {
  const { vmdescription, eof } = survey;
  return {
    about: {
      streamOffset: vmdescription ?? (eof === undefined ? undefined : eof + 1),
      value: hex(Number(number)),
    },
    here:
      vmdescription === undefined
        ? "this file has no VMDESCRIPTION after its EOF"
        : `the VMDESCRIPTION is ${at(vmdescription)}`,
    why: "machine types from 2.3 on send a description after EOF. This is only a warning: everything was loaded before, and QEMU goes on",
    remedies:
      vmdescription === undefined
        ? [
            {
              what: "nothing needs to be done; a destination with suppress-vmdesc=on says nothing",
              arguments: ["-machine", `${machineWord(survey.inspection.machine)},suppress-vmdesc=on`],
            },
          ]
        : [],
  };
}

/** "error while loading state section id 2(ram)": a context for what was said before it. */
export function partFailed({ section = "" }: Parts, context: Context): Answer {
  const found = findSection(context, section);
  return {
    about: { section, streamOffset: found?.streamOffset },
    here: [
      found === undefined ? `this file has no section ${quoted(section)}` : placeOf(found),
      ...damageNote(context),
    ],
    why: "a PART or END of this section was refused: what was said before it tells why",
  };
}

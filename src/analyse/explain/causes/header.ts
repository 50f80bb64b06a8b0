/** Texts about the header and the configuration section. Source: QEMU migration/savevm.c (5.2 to 11.1). */
import { damageNote, type Answer, type Context, type Parts } from "../context.js";
import { uuidText } from "../destination.js";
import { machineFamily, upstreamMachine, type UpstreamMachine } from "../../../guest/machines/index.js";
import { at, distributionWords, quoted, some } from "../words.js";
import type { Remedy } from "../types.js";
import { isMachineName } from "../names.js";

/** "Not a migration stream". */
export function notAStream({ magic }: Parts, context: Context): Answer {
  const { survey, containers, file } = context;
  const why = ["a loader reads four bytes first, which must be 51 45 56 4d (QEVM)"];
  if (containers.length > 0 && survey.inspection.streamVersion === 3) {
    const how = containers.join(" in ");
    return {
      about: { streamOffset: 0 },
      here: `the file is a stream inside ${how}: its first bytes are the wrapping's`,
      why,
      remedies: [
        { what: "take the stream out of it, and load that", command: ["qevm", "convert", file, "--out", "NEW"] },
        ...(containers.includes("libvirt")
          ? [{ what: "or let libvirt load it", command: ["virsh", "restore", file] }]
          : []),
      ],
    };
  }
  if (survey.inspection.streamVersion === 3) {
    return {
      about: { streamOffset: 0, value: "QEVM" },
      here: "this file begins as a stream does: QEMU was given something else, or not from its first byte",
      why,
      remedies: {
        what: "give it this file from the beginning; a file: URI with an offset, and a command after exec: that prints a message, are what moves it",
        arguments: ["-incoming", `exec:cat ${file}`],
      },
    };
  }
  const found = magic && `QEMU read 0x${magic}`;
  return { about: { streamOffset: 0 }, here: [...damageNote(context), found], why };
}

/** "SaveVM v2 format is obsolete", "Unsupported migration stream version". */
export function streamVersion(_: Parts, context: Context): Answer {
  const { survey } = context;
  const good = survey.inspection.streamVersion === 3;
  return {
    about: { streamOffset: 4, value: good ? 3 : undefined },
    here: good
      ? ["this file has version 3 at byte 0x4, as every QEMU since 2009 writes: the text is about another file"]
      : damageNote(context),
    why: "the four bytes after the magic are the version, and 3 is the only one that any QEMU since 2009 writes or loads",
    remedies: good
      ? []
      : [{ what: "if all else is whole, the version alone is damaged: bytes 4 to 7 must be 00 00 00 03" }],
  };
}

/** "Configuration section missing". */
export function configurationMissing(_: Parts, { survey }: Context): Answer {
  const { configuration, inspection } = survey;
  const why = [
    "a QEMU whose property send-configuration is on (machine types from 2.4) wants the machine's name, type byte 0x07, directly after the header",
  ];
  if (configuration !== undefined) {
    return {
      about: { streamOffset: configuration.offset, value: configuration.value.machine },
      here: `this file has a configuration section ${at(configuration.offset)}: the text is about another file`,
      why,
    };
  }
  if (inspection.sections.length === 0) {
    return {
      about: { streamOffset: 8 },
      here: "nothing that can be read comes after the header: the file is cut off",
      why,
    };
  }
  const remedies: Remedy[] = [
    {
      what: "tell the destination that none comes",
      arguments: ["-global", "migration.send-configuration=off"],
    },
  ];
  if (inspection.footers === false) {
    remedies.push({
      what: "and that sections have no footers",
      arguments: ["-global", "migration.send-section-footer=off"],
    });
  }
  remedies.push({ what: "or use the source's machine type, if that is one up to 2.3: those write none" });
  return {
    about: { streamOffset: 8 },
    here: `this file has no configuration section: after the header a ${inspection.sections[0]!.type.toUpperCase()} section begins ${at(8)}`,
    why,
    remedies,
  };
}

/** "Machine type received is 'A' and local is 'B'". */
export function machineType({ received = "", local = "" }: Parts, { survey, file }: Context): Answer {
  const { configuration } = survey;
  const machine = configuration?.value.machine;
  const why = ["the name in the configuration section must be that of the destination's machine type"];
  const here =
    configuration === undefined
      ? ["this file has no configuration section: the text is about another file"]
      : machine === received
        ? [`the configuration section ${at(configuration.offset)} says machine type ${quoted(received)}`]
        : [
            `this file's configuration section says ${quoted(machine ?? "")}, not ${quoted(received)}: the text is about another file`,
          ];
  const about = { streamOffset: configuration?.offset, value: machine, local };
  const name = machine ?? received;
  const remedies: Remedy[] = [
    { what: "start the destination with the source's machine type", arguments: ["-machine", name] },
  ];
  if (!isMachineName(name)) {
    remedies.length = 0;
    why.push("the name in the stream is not one that a QEMU has: it is not put into a command line");
  }
  const [theirs, ours] = [upstreamMachine(name), upstreamMachine(local)];
  why.push(...aliasWords(name, theirs), ...aliasWords(local, ours));
  if (local === "" || name === local || !isMachineName(local)) return { about, here, why, remedies };
  if (machineFamily(name) !== machineFamily(local)) {
    why.push(
      `${quoted(local)} is another machine altogether: renaming it in the stream would not help, its devices differ`,
    );
    return { about, here, why, remedies };
  }
  const command = ["qevm", "convert", file, "--out", "NEW", "--machine", local];
  if (theirs !== undefined && theirs.name === ours?.name) {
    const differs = [...(theirs.alias?.differs ?? []), ...(ours.alias?.differs ?? [])];
    const same = differs.length === 0 ? "" : `. What may have to be set on the destination: ${differs.join("; ")}`;
    remedies.push({ what: `both are the same machine: rename it in the stream${same}`, command });
  } else {
    why.push(`${local} is another version of the same machine: its devices have other properties`);
    remedies.push(...otherVersion(name, local, theirs, command));
  }
  return { about, here, why, remedies };
}

/** Which of QEMU's machine types a distribution's name means, and how it differs. */
export function aliasWords(name: string, upstream: UpstreamMachine | undefined): string[] {
  if (upstream?.alias === undefined) return [];
  const { differs, source } = upstream.alias;
  const words = `${quoted(name)} is ${distributionWords(upstream.alias)} of ${upstream.name}`;
  return [`${words}${differs.length === 0 ? "" : ` (what differs: ${differs.join("; ")})`}. Source: ${source}`];
}

function otherVersion(name: string, local: string, theirs: UpstreamMachine | undefined, command: string[]): Remedy[] {
  const found: Remedy[] = [];
  if (theirs?.alias !== undefined) {
    found.push({
      what: `or, where that QEMU has ${theirs.name}: start it with that, and rename the machine in the stream`,
      arguments: ["-machine", theirs.name],
      command: [...command.slice(0, -1), theirs.name],
    });
  }
  found.push({
    what: `where that QEMU no longer has it: rename it in the stream. The devices stay those of ${name}, so what differs between the versions has to be set on the destination (-global), or a device is refused next`,
    command: [...command.slice(0, -1), local],
  });
  return found;
}

/** "Received TARGET_PAGE_BITS is A but local is B". */
export function pageBits({ received = "", local = "" }: Parts, { survey }: Context): Answer {
  const found = survey.configuration?.value.subsections.find((one) => one.name === "configuration/target-page-bits");
  const bits = found !== undefined && "bits" in found ? found.bits : undefined;
  const offset = survey.configuration?.offset;
  return {
    about: {
      streamOffset: offset,
      value: bits,
      local: Number(local),
    },
    here:
      bits === undefined
        ? "this file does not say its target page bits: the loader takes its target's least"
        : `the configuration section says ${bits} bits, pages of ${2 ** bits} bytes`,
    why: `the guest's pages must be of one size at both ends: received ${received}, local ${local}. Machine type and CPU set it (arm virt up to 2.7: 10 bits)`,
    remedies: { what: "use the source's machine type and CPU" },
  };
}

/** "Capability x is off, but received capability is on". */
export function capability({ capability: name = "", local = "" }: Parts, { survey }: Context): Answer {
  const has = survey.inspection.capabilities.includes(name);
  const offset = survey.configuration?.offset;
  const says = has === (local !== "on") ? "" : ": the text is about another file";
  return {
    about: { streamOffset: offset, value: has ? "on" : "off", local },
    here: `the configuration section ${has ? "names" : "does not name"} the capability ${name}${says}`,
    why: `${name} changes the layout of the stream, so both ends must have it on or both off (QEMU 4.0 on)`,
    remedies: {
      what: has ? "set it on the destination before it loads" : "leave it off on the destination",
      monitor: [`migrate_set_capability ${name} ${has ? "on" : "off"}`],
    },
  };
}

/** "Received unknown capability x". */
export function unknownCapability({ capability: name = "" }: Parts, { survey, file }: Context): Answer {
  const offset = survey.configuration?.offset;
  const { capabilities } = survey.inspection;
  return {
    about: { streamOffset: offset, value: name },
    here: `the configuration section names ${capabilities.length === 0 ? "no capability" : some(capabilities)}`,
    why: `that QEMU has no capability ${quoted(name)}${name === "mapped-ram" ? ": it came with 9.0" : ""}`,
    remedies:
      name === "mapped-ram" && capabilities.includes(name)
        ? [
            {
              what: "make a plain stream of the file",
              command: ["qevm", "convert", file, "--out", "NEW", "--to", "stream"],
            },
          ]
        : [],
  };
}

/** "Parameter 'capability' does not accept value 'compress'": QMP's answer to migrate-set-capabilities. */
export function capabilityName({ capability: name = "" }: Parts, { survey, rules }: Context): Answer {
  const needed = survey.inspection.evident.includes(name) || survey.inspection.capabilities.includes(name);
  const rule = rules.find(({ why }) => why.includes(name) || (name === "mapped-ram" && why.includes("mapped-ram")));
  const removed = { compress: "9.1 removed it", block: "9.1 removed it", "mapped-ram": "it came with 9.0" }[name];
  return {
    about: { value: name },
    here: `this file ${needed ? `needs the capability ${name}` : `shows nothing of the capability ${name}`}${rule === undefined ? "" : `: ${rule.why}`}`,
    why: `that QEMU has no capability ${quoted(name)}${removed === undefined ? "" : `: ${removed}`}`,
    remedies: rule?.remedy,
  };
}

/** "UUID received is A and local is B"; "UUID is received A, but local uuid isn't set" (a warning). */
export function uuid({ received = "", local }: Parts, { survey }: Context): Answer {
  const { configuration } = survey;
  const found = configuration?.value.subsections.find((one) => one.name === "configuration/uuid");
  const value = found !== undefined && "uuid" in found ? uuidText(found.uuid) : undefined;
  const only = local === undefined ? " This is only a warning: it is loaded all the same." : "";
  return {
    about: {
      streamOffset: configuration?.offset,
      value,
      local,
    },
    here: value === undefined ? "this file has no UUID" : `the configuration section has the guest's UUID ${value}`,
    why: `with the capability validate-uuid (4.2 on) the UUIDs of source and destination must be equal.${only}`,
    remedies: { what: "give the destination that UUID", arguments: ["-uuid", value ?? received] },
  };
}

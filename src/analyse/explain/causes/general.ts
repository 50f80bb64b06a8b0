/**
 * General texts, and those of a destination that does not start. Source: QEMU migration/migration.c, softmmu/vl.c (5.2
 * to 11.1).
 */
import { damageNote, damageOffset, type Answer, type Context, type Parts } from "../context.js";
import { upstreamMachine } from "../../../guest/machines/index.js";
import { at, distributionWords, quoted, some } from "../words.js";
import { aliasWords } from "./header.js";
import type { Remedy } from "../types.js";
import { isId } from "../names.js";

const ERRORS: Readonly<Record<string, string>> = {
  "Invalid argument": "a value in the stream was refused (EINVAL)",
  "Input/output error": "the stream ended or could not be read where more was expected (EIO)",
  "No such file or directory":
    "something named in the stream is not known there, most often a subsection of a device (ENOENT)",
  "Operation not supported": "the version of the stream is refused (ENOTSUP)",
  "Operation not permitted":
    "the device or postcopy refused it (EPERM); a virtio or vhost device returns this for any failure",
  "Numerical result out of range": "a command has another length than its number asks for (ERANGE)",
  "Cannot allocate memory": "the destination has not enough memory (ENOMEM)",
  Success: "an error was found, and none was named",
};

/** "load of migration failed: Invalid argument". */
export function loadFailed({ error = "" }: Parts, context: Context): Answer {
  const { complete, undecoded } = context.survey.inspection;
  const whole =
    undecoded.length === 0 ? "the file is whole, and every byte of it is understood" : "the file comes to its end";
  const end = complete
    ? `${whole}: what is wrong is how it was handed over, or how it and the destination fit`
    : "the stream in the file does not come to its end";
  return {
    about: { streamOffset: damageOffset(context) },
    here: damageNote(context, end),
    why: [ERRORS[error] ?? `the error was ${quoted(error)}`, "the lines before it tell what"],
  };
}

/** "unsupported machine type 'pc-i440fx-2.3'". */
export function unsupportedMachine({ machine: given, named }: Parts, context: Context): Answer {
  const { survey, rules } = context;
  const own = survey.inspection.machine;
  const machine = given ?? named;
  const rule = rules.find(({ why }) => why.startsWith("machine type "));
  const remedies: Remedy[] = [];
  const upstream = upstreamMachine(own);
  if (own !== null && upstream?.alias !== undefined && machine !== upstream.name) {
    remedies.push({
      what: `rename it to ${upstream.name}, of which it is ${distributionWords(upstream.alias)}, and start the destination with that`,
      arguments: ["-machine", upstream.name],
      command: ["qevm", "convert", context.file, "--out", "NEW", "--machine", upstream.name],
    });
  }
  if (own === null || machine === undefined || machine === own) {
    remedies.push({
      what: "adapt it to a machine type that is there: the destination's own command comes after --",
      command: context.reach?.command ?? [
        ..."qevm adapt".split(" "),
        context.file,
        ..."--out NEW -- qemu-system-x86_64 -machine TYPE".split(" "),
      ],
    });
  }
  if (own !== null && upstream?.alias === undefined && (machine === undefined || machine === own)) {
    remedies.push({
      what: "load it in a QEMU that has the machine type, and migrate from there; or rename it to one that is there, with the devices set to match",
      command: ["qevm", "convert", context.file, "--out", "NEW", "--machine", "TYPE"],
    });
  }
  return {
    about: {
      streamOffset: survey.configuration?.offset,
      value: own ?? "",
      local: machine,
    },
    here: own === null ? "this file does not say its machine type" : `the machine type of this file is ${quoted(own)}`,
    why: [
      machine !== undefined && machine !== own
        ? `that QEMU does not have ${quoted(machine)}, which is not the file's either`
        : `that QEMU does not have the machine type that it was asked for${rule === undefined ? "" : `. The file's: ${rule.why}`}`,
      ...(own === null ? [] : aliasWords(own, upstream)),
    ],
    remedies,
  };
}

/** "State blocked by non-migratable device 'x'": said where it is saved, not where it is loaded. */
export function notMigratable({ device = "" }: Parts, { survey }: Context): Answer {
  const found = survey.devices.find(({ name }) => name === device);
  return {
    about: { section: device, streamOffset: found?.offset },
    here:
      found === undefined
        ? `this file has no section ${quoted(device)}: the device wrote none`
        : `this file has its section ${at(found.offset)}`,
    why: "a device of the source cannot be migrated: QEMU says so before it writes anything. (7.2 refuses nvme, for one.)",
    remedies: { what: "unplug it at the source (device_del), or use another device" },
  };
}

/** "Error unknown block device x", "Cannot find device='x' nor node-name='x'", "Unknown node alias 'x'". */
export function blockDevice({ device = "", what }: Parts, { survey }: Context): Answer {
  const name = what === "block" ? "block" : "dirty-bitmap";
  const found = survey.inspection.sections.find((one) => one.section === name);
  const bitmap = name === "dirty-bitmap";
  return {
    about: { section: name, value: device, streamOffset: found?.streamOffset },
    here:
      found === undefined
        ? `this file has no section ${quoted(name)}`
        : `section ${quoted(name)} begins ${at(found.streamOffset)}, and speaks of the disk ${quoted(device)}`,
    why: bitmap
      ? "a dirty bitmap belongs to a block node of the destination by its name (or its alias, block-bitmap-mapping). QEMU goes on without it where it only warns"
      : "block migration writes disks of the destination by their names (-drive id= or -blockdev node-name=)",
    remedies: !isId(device)
      ? []
      : [
          {
            what: "give the destination a disk of that name",
            arguments: ["-blockdev", `driver=raw,node-name=${device},file.driver=file,file.filename=DISK`],
          },
        ],
  };
}

/** "Unable to write to socket: Broken pipe", "Connection reset by peer", "Channel closed": said by a source. */
export function connection(_: Parts, context: Context): Answer {
  return {
    about: {},
    here: damageNote(context),
    why: "this is the source's side: the other end closed the connection, most often since the destination refused something. Its own stderr (libvirt: /var/log/libvirt/qemu/NAME.log there) has the reason",
    remedies: { what: "give the destination's text to qevm explain" },
  };
}

/** "'x' is not a valid device model name". */
export function deviceModel({ device = "" }: Parts, { destination }: Context): Answer {
  const found = destination.devices.find(({ argument }) => argument.split(",")[0] === device);
  return {
    about: { section: found?.section, streamOffset: found?.streamOffset, value: device },
    here: found && `the device is that of section ${quoted(found.section)} ${at(found.streamOffset)}`,
    why: "that QEMU was built without this device, or it is in a package of its own (Debian: qemu-system-gui, qemu-system-modules-spice, ...)",
    remedies:
      found === undefined || found.also.length === 0
        ? []
        : [{ what: `the section would also fit ${some(found.also)}` }],
  };
}

/** Texts of devices about their state. Source: QEMU migration/vmstate.c, target/i386/kvm/kvm.c (5.2 to 11.1). */
import { hex } from "../../../bytes/errors.js";
import { damageNote, deviceNamed, elsewhere, ofDevice, type Answer, type Context, type Parts } from "../context.js";
import { findField, subsectionNames, valueText } from "../fields.js";
import type { SurveyedDevice } from "../survey.js";
import type { Remedy } from "../types.js";
import { at, quoted, some } from "../words.js";
import { seenWords } from "./sections.js";

export function deviceWords({ name, instance, version, offset, payload, length }: SurveyedDevice): string {
  return `device ${quoted(name)} instance ${instance}, version ${version}, ${at(offset)}; its state is ${length} bytes from byte ${hex(payload)}`;
}

/** Why a device's state was not decoded. */
function undecodedWords({ survey }: Context, { offset }: SurveyedDevice): string[] {
  const found = survey.inspection.undecoded.find((one) => one.streamOffset === offset);
  return found === undefined ? [] : [`it does not fit its description: ${found.reason}`];
}

/** The option that makes this device. */
export function remediesFor(device: SurveyedDevice | undefined, { destination, file }: Context): Remedy[] {
  const ours = destination.devices.filter(
    ({ section, instance }) => section === device?.name && instance === device.instance,
  );
  const found: Remedy[] = ours.map(({ argument, also }) => ({
    what: `give the destination the source's device there${also.length > 0 ? ` (or ${also.join(", ")})` : ""}, with its properties`,
    arguments: ["-device", argument],
  }));
  // A name that begins like an option would be read as one.
  if (device !== undefined && !device.name.startsWith("-"))
    found.push({
      what: "see all that the file says of it",
      command: ["qevm", "devices", file, `${device.name}/${device.instance}`],
    });
  return found;
}

/** "error while loading state for instance 0x0 of device 'x'". */
export function loading({ device: name = "", instance = "0" }: Parts, context: Context): Answer {
  const number = Number(instance);
  const device = context.survey.devices.find((one) => one.name === name && one.instance === number);
  const section = context.survey.inspection.sections.find((one) => one.section === name && one.instance === number);
  const offset = device?.offset ?? section?.streamOffset ?? context.survey.seen.get(name);
  const about = { section: name, instance: number, streamOffset: offset };
  if (device === undefined) {
    const here =
      section === undefined
        ? context.survey.seen.has(name)
          ? seenWords(context, name)
          : [`this file has no section ${quoted(name)} ${number}${elsewhere(context)}`]
        : [`section ${section.id} ${quoted(name)} ${at(section.streamOffset)}`];
    return {
      about,
      here: [...here, ...damageNote(context)],
      why: "loading this section failed: what was said before it tells why",
    };
  }
  const here = [deviceWords(device), ...undecodedWords(context, device), ...damageNote(context)];
  const why = [
    "the device refused its state: what was said before it tells which part. QEMU 11.1 says more of it in the same line",
  ];
  const missing = context.matches.some(({ words }) => /No such file or directory/u.test(words));
  if (missing && device.state !== undefined) {
    const names = subsectionNames(device.state);
    here.push(
      names.length === 0 ? "it has no subsection that its description knows" : `its subsections are ${some(names, 6)}`,
    );
    why.push(
      '"No such file or directory" is what an unknown subsection ends in: that QEMU does not know one of them, since it is older or the device has other properties there',
    );
  }
  return { about, here, why, remedies: remediesFor(device, context) };
}

/** "Failed to load VMSD:FIELD" (5.2 to 10.0, from the inside out). */
export function field({ vmsd, field: name = "" }: Parts, context: Context): Answer {
  const device = deviceNamed(context) ?? context.survey.devices.find((one) => findField(one, vmsd, name) !== undefined);
  const place = device === undefined ? undefined : findField(device, vmsd, name);
  const value = valueText(place?.value);
  const here: string[] = [];
  const named = context.matches.find(({ parts }) => parts["device"] !== undefined)?.parts["device"] ?? "";
  const seen = device === undefined ? context.survey.seen.get(named) : undefined;
  if (device !== undefined) here.push(deviceWords(device));
  else here.push(...seenWords(context, named));
  if (place !== undefined)
    here.push(
      `its field ${place.path}${place.offset === undefined ? "" : ` ${at(place.offset)}`}${value === undefined ? "" : ` is ${value}`}`,
    );
  return {
    about: {
      ...(device === undefined
        ? { section: seen === undefined ? undefined : named, streamOffset: seen }
        : { section: device.name, instance: device.instance }),
      field: place?.path ?? (vmsd === undefined ? name : `${vmsd}:${name}`),
      streamOffset: place?.offset ?? seen,
      value,
    },
    here: [...here, ...damageNote(context)],
    why: `the field ${quoted(name)}${vmsd === undefined ? "" : ` of ${quoted(vmsd)}`} was refused: the stream ended in it, or its value is not one that this device takes (one that must be equal at both ends, or lies outside a range)`,
    remedies: remediesFor(device, context),
  };
}

/** "VM subsection 'x' in 'y' does not exist" (11.1). */
export function subsection({ subsection: name = "", vmsd = "" }: Parts, context: Context): Answer {
  const device =
    deviceNamed(context) ??
    context.survey.devices.find((one) => one.state !== undefined && subsectionNames(one.state).includes(name));
  return {
    about: { ...ofDevice(device), field: name },
    here: [device && deviceWords(device), ...damageNote(context)],
    why: `the state has a subsection ${quoted(name)} that the destination's ${quoted(vmsd)} does not know: a newer QEMU wrote it, or the device has other properties there`,
    remedies: remediesFor(device, context),
  };
}

/** "x: incoming version_id 3 is too new for local version_id 2", "... too old for local minimum version_id". */
export function stateVersion({ vmsd = "", received = "", age = "new", local = "" }: Parts, context: Context): Answer {
  const device = deviceNamed(context);
  return {
    about: {
      ...ofDevice(device),
      field: vmsd,
      value: Number(received),
      local: Number(local),
    },
    here: [device && deviceWords(device), ...damageNote(context)],
    why: `${quoted(vmsd)} in the stream is of version ${received}, and that QEMU loads ${age === "new" ? "none later than" : "none earlier than"} ${local}`,
    remedies: {
      what: age === "new" ? "load it in the QEMU that wrote it, or a later one" : "load it in an earlier QEMU",
    },
  };
}

/** "Input validation failed: VMSD/FIELD"; "0x1 != 0x2" of a field that must be equal. */
export function validation({ vmsd, field: name, received, local }: Parts, context: Context): Answer {
  const device = deviceNamed(context);
  const place =
    device === undefined || vmsd === undefined || name === undefined ? undefined : findField(device, vmsd, name);
  return {
    about: {
      section: device?.name,
      instance: device?.instance,
      field: place?.path,
      streamOffset: place?.offset ?? device?.offset,
      value: received && `0x${received}`,
      local: local && `0x${local}`,
    },
    here: [device && deviceWords(device), ...damageNote(context)],
    why:
      received === undefined
        ? `the fields of ${quoted(vmsd ?? "")} contradict each other`
        : `a value that must be equal at both ends is 0x${received} in the stream and 0x${local} at the destination`,
    remedies: remediesFor(device, context),
  };
}

/** "error: failed to set MSR 0x48f to 0x7fffff00036dfb", "TSC frequency mismatch". */
export function hostCpu({ msr, value }: Parts, { survey }: Context): Answer {
  const cpu = survey.devices.find(({ name }) => name === "cpu");
  return {
    about: {
      section: "cpu",
      instance: cpu?.instance,
      streamOffset: cpu?.offset,
      field: msr && `MSR 0x${msr}`,
      value: value && `0x${value}`,
    },
    here: cpu && deviceWords(cpu),
    why: "KVM on the destination's host refused a register of the guest's CPU: CPU, microcode, kernel or its settings are not the source's, or -cpu is not",
    remedies: {
      what: "use a -cpu model that both hosts have (not host or max), and start the guest with it anew; the model cannot be changed in a saved guest",
    },
  };
}

/** Machine `s390-ccw-virtio`. Source: QEMU hw/s390x (5.2 to 11.1), and the streams of its options. */
import { isStructState } from "../../../codec/vmstate/index.js";
import type { Survey, SurveyedDevice } from "../survey.js";
import type { LikelyDevice } from "../types.js";
import { EVERYWHERE, likely, names, scsiDevice, virtioDevice } from "./place.js";
import { first, smpArguments, type Target } from "./types.js";

const OWN = names(`${EVERYWHERE} sclpquiesce sclpcpuhotplug vmstate-event-facility s390-skeys s390-flic qemu-s390-flic
  ipl s390_css todclock s390-storage_attributes s390-cpumodel sclp_control_program_identification`);

/** Devices that have a section but no path. */
const PATHLESS: Readonly<Record<string, string[]>> = {
  sclpconsole: ["sclpconsole", "chardev=CHARDEV0"],
  sclplmconsole: ["sclplmconsole", "chardev=CHARDEV0"],
  vmstate_diag288: ["diag288"],
};

export const s390: Target = {
  fits: ({ blocks, inspection, devices }) =>
    (inspection.machine ?? "s390-ccw-virtio").startsWith("s390-ccw-virtio") &&
    (blocks.has("s390.ram") || devices.some(({ name }) => name === "s390_css")),
  advise(survey) {
    const devices: LikelyDevice[] = [];
    const unnamed: string[] = [];
    for (const device of survey.devices) {
      if (OWN.has(device.name)) continue;
      const found = named(device);
      if (found === undefined) unnamed.push(`${device.name}/${device.instance}`);
      else devices.push(...found);
    }
    const loadparm = loadParameter(survey);
    return {
      program: "qemu-system-s390x",
      machine: loadparm === undefined ? [] : [`loadparm=${loadparm}`],
      nodefaults: true,
      arguments: smpArguments(survey),
      own: () => false,
      slots: 0,
      devices,
      unnamed,
      notes: [
        "the CPU model (-cpu) and the accelerator are not in the stream, nor is maxcpus: they must be the source's",
        "a keyboard, a mouse and a tablet of virtio have the same section: look at `also`",
      ],
    };
  },
};

function named(device: SurveyedDevice): LikelyDevice[] | undefined {
  const pathless = PATHLESS[device.name];
  if (pathless !== undefined) return [likely(device, "", pathless)];
  // fe.CSSID.SSID.DEVNO as /fe.0.0001
  const [path, number] = /^\/([0-9a-f]+\.[0-3]\.[0-9a-f]{4})(?=\/)/u.exec(device.name) ?? [];
  if (path === undefined || number === undefined) return undefined;
  const place = { path, id: `ccw-${number}`, options: [`devno=${number}`], suffix: "-ccw" };
  const disk = scsiDevice(device, place);
  return disk === undefined ? virtioDevice(device, place) : [disk];
}

/** Where the load parameter is in the boot parameter block, and its length (QEMU hw/s390x/ipl.h). */
const LOADPARM = { at: 16, length: 8 };

/** The load parameter where it is not blank: EBCDIC letters, digits and a period. */
function loadParameter(survey: Survey): string | undefined {
  const block = first(survey, "ipl")?.state?.fields["iplb"];
  const fields = block !== undefined && isStructState(block) ? block.fields : undefined;
  const bytes: unknown = fields?.["reserved1"];
  if (!Array.isArray(bytes) && !(bytes instanceof Uint8Array)) return undefined;
  const text = Array.from(bytes as ArrayLike<number>)
    .slice(LOADPARM.at, LOADPARM.at + LOADPARM.length)
    .map(fromEbcdic)
    .join("")
    .trimEnd();
  return /^[A-Z0-9.]+$/u.test(text) ? text : undefined;
}

/** A letter, digit or period of EBCDIC (code page 037); anything else is a blank. */
function fromEbcdic(code: number): string {
  if (code === 0x4b) return ".";
  const [zone, digit] = [code >> 4, code & 15];
  if (zone === 0xf && digit < 10) return String(digit);
  if (digit < 1 || digit > 9) return " ";
  const letters = { 0xc: "ABCDEFGHI", 0xd: "JKLMNOPQR", 0xe: " STUVWXYZ" }[zone];
  return letters?.[digit - 1] ?? " ";
}

/** Machine `pseries` of POWER. Source: QEMU hw/ppc/spapr*.c (5.2 to 11.1), and the streams of its options. */
import type { Survey, SurveyedDevice } from "../survey.js";
import type { LikelyDevice } from "../types.js";
import { EVERYWHERE, likely, names, onPci, scsiDevice, type Named } from "./place.js";
import { count, first, has, smpArguments, type Target } from "./types.js";

const OWN = names(`${EVERYWHERE} spapr/htab ics xive-source spapr-xive icp/server xive-tctx spapr_cpu spapr/rtc
  spapr_iommu spapr_pci spapr spapr_drc spapr_nvdimm timebase spapr/rng`);

export const pseries: Target = {
  fits: ({ blocks, inspection, devices }) =>
    (inspection.machine ?? "pseries").startsWith("pseries") &&
    (blocks.has("ppc_spapr.ram") || devices.some(({ name }) => name === "spapr")),
  advise(survey) {
    const bridges = hostBridges(survey);
    const own = ownVio(survey);
    const vio = onVio(survey, own);
    const named = bridges.map((index) => onBridge(survey, index, bridges.length > 1));
    const model = cpuModel(survey);
    return {
      program: "qemu-system-ppc64",
      machine: [...interruptMode(survey), ...capabilities(survey)],
      nodefaults: true,
      arguments: [
        ...(model === undefined ? [] : ["-cpu", model]),
        ...smp(survey),
        ...bridges.flatMap((index) => (index > 0 ? ["-device", bridge(index)] : [])),
        ...own.serial.flatMap(() => ["-serial", "null"]),
      ],
      own: (block) => /^(?:ppc_spapr\.|\/rom@)/u.test(block) && block !== "ppc_spapr.ram",
      // Slots do not show; a memory device needs one.
      slots: 0,
      devices: [...named.flatMap(({ devices }) => devices), ...vio.devices],
      unnamed: [...named.flatMap(({ unnamed }) => unnamed), ...vio.unnamed],
      notes: [
        ...(model === undefined ? ["the CPU model (-cpu) is none that is known by its version register"] : []),
        "threads of a core, slots and maxmem do not show",
        ...named.flatMap(({ notes }) => notes),
      ],
    };
  },
};

const bridge = (index: number): string => `spapr-pci-host-bridge,index=${index},id=phb${index}`;

/** BUID of the host bridge with index 0. */
const BUID = 0x800_0000_2000_0000n;

/** Indexes of the PCI host bridges: their BUIDs. */
function hostBridges(survey: Survey): number[] {
  return survey.devices.flatMap(({ name, state }) => {
    const buid = name === "spapr_pci" ? state?.fields["buid"] : undefined;
    return typeof buid === "bigint" && buid >= BUID && buid < BUID + 256n ? [Number(buid - BUID)] : [];
  });
}

/** The devices of one host bridge: with the paths of a PC they are named as there. */
function onBridge(survey: Survey, index: number, several: boolean): Named {
  const prefix = `pci@${(BUID + BigInt(index)).toString(16)}:`;
  const rename = (name: string): string => (name.startsWith(prefix) ? `0000:00:${name.slice(prefix.length)}` : name);
  const back = (text: string): string => text.replace(/^0000:00:/u, prefix);
  const devices = survey.devices
    .filter(({ name }) => name.startsWith(prefix) || (index === 0 && isPathless(name)))
    .map((one) => renamed(one, rename(one.name)));
  const blocks = new Map([...survey.blocks].map(([name, block]) => [rename(name), block]));
  const found = onPci({ ...survey, devices, blocks }, OWN);
  const bus = index === 0 ? "pci.0" : `phb${index}.0`;
  return {
    ...found,
    devices: found.devices.map((one) => {
      const moved = index === 0 ? one.argument : one.argument.replace(/\b(id|bus)=dev-/gu, `$1=phb${index}-dev-`);
      const root = several && moved.includes(",addr=") && !moved.includes(",bus=");
      const argument = root ? moved.replace(",addr=", `,bus=${bus},addr=`) : moved;
      return { ...one, section: back(one.section), place: back(one.place), argument };
    }),
    unnamed: found.unnamed.map(back),
  };
}

function renamed(device: SurveyedDevice, name: string): SurveyedDevice {
  return { ...device, name };
}

function isPathless(name: string): boolean {
  return !name.includes("@") && !OWN.has(name);
}

/** Devices of the virtual I/O bus: `v-scsi@2000/spapr_vscsi`. */
const VIO: Readonly<Record<string, [device: string, ...options: string[]]>> = {
  spapr_vscsi: ["spapr-vscsi"],
  spapr_llan: ["spapr-vlan"],
  spapr_vty: ["spapr-vty", "chardev=CHARDEV0"],
  spapr_nvram: ["spapr-nvram"],
};

/** Where the machine puts its own devices on that bus: a terminal for each -serial, then its NVRAM. */
const OWN_VIO = 0x7100_0000;

/** Names of sections that the machine makes of itself on the virtual I/O bus. */
interface OwnVio {
  serial: string[];
  nvram: string | undefined;
}

function ownVio(survey: Survey): OwnVio {
  const serial: string[] = [];
  const at = (kind: string, path: string): string => `${path}@${(OWN_VIO + serial.length).toString(16)}/spapr_${kind}`;
  while (has(survey, at("vty", "vty"))) serial.push(at("vty", "vty"));
  const nvram = at("nvram", "nvram");
  // Without it after them these are devices of -device, which the machine's own one would be in the way of.
  return has(survey, nvram) ? { serial, nvram } : { serial: [], nvram: undefined };
}

function onVio(survey: Survey, own: OwnVio): Pick<Named, "devices" | "unnamed"> {
  const devices: LikelyDevice[] = [];
  const unnamed: string[] = [];
  for (const device of survey.devices) {
    const [path, register] = /^(?!pci@)[\w-]+@([0-9a-f]+)(?=\/)/u.exec(device.name) ?? [];
    if (path === undefined || register === undefined || device.name === own.nvram) continue;
    if (own.serial.includes(device.name)) continue;
    const found = vioDevice(device, path, register);
    if (found === undefined) unnamed.push(`${device.name}/${device.instance}`);
    else devices.push(found);
  }
  return { devices, unnamed };
}

function vioDevice(device: SurveyedDevice, path: string, register: string): LikelyDevice | undefined {
  const id = `vio-${register}`;
  const [model, ...options] = VIO[device.name.slice(path.length + 1)] ?? [];
  if (model === undefined) return scsiDevice(device, { path, id, options: [], suffix: "" });
  return likely(device, path, [model, `id=${id}`, `reg=0x${register}`, ...options]);
}

function interruptMode(survey: Survey): string[] {
  const [xics, xive] = [has(survey, "icp/server"), has(survey, "xive-tctx")];
  return xics && xive ? ["ic-mode=dual"] : xics ? ["ic-mode=xics"] : xive ? ["ic-mode=xive"] : [];
}

const SWITCH = ["off", "on"];
const FIXED = ["broken", "workaround", "fixed"];

/**
 * Subsections `spapr/cap/NAME` that a stream has where the capability is not the machine's default: option and values
 * by number.
 */
const CAPABILITIES: Readonly<Record<string, [option: string, values: readonly string[] | undefined]>> = {
  htm: ["cap-htm", SWITCH],
  vsx: ["cap-vsx", SWITCH],
  dfp: ["cap-dfp", SWITCH],
  cfpc: ["cap-cfpc", FIXED],
  sbbc: ["cap-sbbc", FIXED],
  ibs: ["cap-ibs", ["broken", "workaround", "fixed-ibs", "fixed-ccd", "fixed-na"]],
  hpt_maxpagesize: ["cap-hpt-max-page-size", undefined],
  nested_kvm_hv: ["cap-nested-hv", SWITCH],
  nested_papr: ["cap-nested-papr", SWITCH],
  large_decr: ["cap-large-decr", SWITCH],
  ccf_assist: ["cap-ccf-assist", SWITCH],
  fwnmi: ["cap-fwnmi", SWITCH],
  rpt_invalidate: ["cap-rpt-invalidate", SWITCH],
  ail_mode_3: ["cap-ail-mode-3", SWITCH],
  dawr1: ["cap-dawr1", SWITCH],
};

function capabilities(survey: Survey): string[] {
  const subsections = first(survey, "spapr")?.state?.subsections ?? [];
  return subsections.flatMap(({ description, fields }) => {
    const name = description.vmsdName ?? "";
    const [option, values] = CAPABILITIES[name.replace(/^spapr\/cap\//u, "")] ?? [];
    const [value] = Object.values(fields);
    if (!name.startsWith("spapr/cap/") || option === undefined || typeof value !== "number") return [];
    // A page size is the number of its bits.
    const text = values === undefined ? pageSize(value) : values[value];
    return text === undefined ? [] : [`${option}=${text}`];
  });
}

function pageSize(bits: number): string | undefined {
  if (bits < 12 || bits > 34) return undefined;
  return bits < 20 ? `${2 ** (bits - 10)}k` : bits < 30 ? `${2 ** (bits - 20)}m` : `${2 ** (bits - 30)}g`;
}

/** Number of the processor version register among the special purpose registers. */
const PVR = 287;

/** Models by their version register (QEMU target/ppc/cpu-models.h, 5.2 to 11.1). */
const MODELS: Readonly<Record<number, string>> = {
  0x003b0201: "power5p_v2.1",
  0x003f0203: "power7_v2.3",
  0x004a0201: "power7p_v2.1",
  0x004b0201: "power8e_v2.1",
  0x004d0200: "power8_v2.0",
  0x004c0100: "power8nvl_v1.0",
  0x004e0100: "power9_v1.0",
  0x004e1200: "power9_v2.0",
  0x004e1202: "power9_v2.2",
  0x00800100: "power10_v1.0",
  0x00800200: "power10_v2.0",
  0x00801200: "power10_v2.0",
  0x00821200: "power11_v2.0",
};

function cpuModel(survey: Survey): string | undefined {
  const registers = first(survey, "cpu")?.state?.fields["env.spr"];
  const value: unknown = Array.isArray(registers) ? registers[PVR] : undefined;
  return typeof value === "bigint" ? MODELS[Number(value & 0xffff_ffffn)] : undefined;
}

/** Event queues of XIVE for one CPU. */
const QUEUES = 8;

/** The table of event queues has room for every CPU that there may be. */
function smp(survey: Survey): string[] {
  const table = first(survey, "spapr-xive")?.state?.fields["endt"];
  const most = Array.isArray(table) ? table.length / QUEUES : 0;
  const now = count(survey, "cpu");
  return Number.isInteger(most) && most > now ? ["-smp", `${now},maxcpus=${most}`] : smpArguments(survey);
}

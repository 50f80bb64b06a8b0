/** Devices that save nothing of themselves, recognized by what belongs to them: a bus, a block, a section of a part. */
import { pciIdentity, pciPlace, slotAddress, type PciPlace } from "./pci.js";
import type { Survey, SurveyedDevice } from "./survey.js";

/** What a bridge's section is named, after its path. */
const BRIDGE =
  /^(?:pci_bridge|pcie-root-port|ioh-3240-express-root-port|pcie-pci-bridge|i82801b11_bridge|xio3130-express-(?:up|down)stream-port)$/u;

/** A bridge without a section. */
interface HiddenBridge {
  /** The section of its bus. */
  bus: SurveyedDevice;
  /** Its options of a place: known where something is behind it. */
  path: string | undefined;
  addr: string | undefined;
}

/**
 * Every bus has a section PCIBUS: those that belong neither to a host bridge nor to a bridge with a section are of the
 * ports of CXL, which have none.
 * Source: QEMU hw/pci/pci.c, hw/pci-bridge/cxl_root_port.c (7.1 to 11.1). A path of three parts is that of a device on
 * the root bus.
 */
export function hiddenBridges({ devices }: Pick<Survey, "devices">): HiddenBridge[] {
  const buses = devices.filter(({ name }) => name === "PCIBUS");
  const paths = devices.map(({ name }) => name.split("/", 1)[0]!);
  const hosts = devices.filter(({ name }) => name === "PCIHost").length;
  const bridges = devices.filter(({ name }) => BRIDGE.test(name.split("/").at(-1)!)).length;
  const hidden = buses.slice(Math.max(1, hosts) + bridges);
  const known = new Set(paths);
  const places = [...new Set(paths.flatMap((path) => /^(0000:00:[0-9a-f]{2}\.[0-7]):/u.exec(path)?.[1] ?? []))].filter(
    (path) => !known.has(path),
  );
  return hidden.map((bus, i) => ({
    bus,
    path: places[i],
    addr: places[i] === undefined ? undefined : slotAddress(places[i].slice(-4)),
  }));
}

/**
 * Monitors on an I2C bus (section "i2c-ddc") by what they are part of: an ati-vga, which until 7.2 has no section but a
 * block of video memory; else none. Source: QEMU hw/display/ati.c, hw/display/i2c-ddc.c (5.2 to 11.1).
 */
export function monitors({ devices, blocks }: Survey): { section: SurveyedDevice; card: PciPlace | undefined }[] {
  const paths = new Set(devices.map(({ name }) => pciPlace(name)?.path));
  const cards = [...blocks.keys()].flatMap((name) => pciPlace(name) ?? []).filter(({ rest }) => rest === "vga.vram");
  const silent = cards.filter(({ path }) => !paths.has(path));
  // Those of cards with a section are these cards' own.
  const known = devices.filter(({ name, state }) => name.endsWith("/vga") && pciIdentity(state)?.id === ATI).length;
  return devices
    .filter(({ name }) => name === "i2c-ddc")
    .slice(known)
    .map((section, i) => ({ section, card: silent[i] }));
}

const ATI = "1002:5046";

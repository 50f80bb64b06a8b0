/** What a device needs besides its place: memory, drives, character devices, networks. */
import type { DeviceState } from "../../codec/vmstate/index.js";
import type { DeviceKind } from "./device-table.js";
import { recordsBlock } from "./memory-arguments.js";
import { isId } from "./names.js";
import { pciIdentity } from "./pci.js";
import { findRecord } from "./state-fields.js";
import type { Survey, SurveyedDevice } from "./survey.js";

export class Backends {
  /** How many placeholders of each kind were used: DRIVE0, DRIVE1, ... */
  private readonly used = new Map<string, number>();
  /** Management controllers (BMC) so far, and interfaces to them. */
  private controllers = 0;
  private interfaces = 0;
  private networkTaken = false;

  /** @param notes is extended by what the placeholders mean */
  constructor(
    private readonly survey: Survey,
    private readonly release: number | undefined,
    private readonly notes: string[],
  ) {}

  /** Options of the device's backends. */
  of(device: SurveyedDevice, kind: DeviceKind, path: string): string[] {
    const own = kind.backend === undefined ? [] : [this.memoryOf(kind, path) ?? this.backend(kind.backend)];
    const network = kind.network === true ? this.network(device) : undefined;
    if (network !== undefined) own.push(`netdev=${network}`);
    // Each has one interface, in the same order.
    if (kind.device === "ipmi-bmc-sim") own.push(`id=bmc${this.controllers++}`);
    return own;
  }

  /** @param path empty: a device without a path, whose block has none either */
  videoMemory(kind: DeviceKind, path: string, state: DeviceState | undefined): string[] {
    const { blocks } = this.survey;
    if (kind.name === "qxl") return this.qxlMemory(path);
    const memory =
      kind.vgamem === undefined ? undefined : blocks.get(path === "" ? kind.vgamem : `${path}/${kind.vgamem}`);
    if (memory === undefined) return [];
    if (kind.device === "bochs-display") return [`vgamem=${memory.length}`];
    const registers = kind.name === "vga" ? pciIdentity(state)?.registers : undefined;
    // Revision 2 has QEMU's own registers in BAR 2; machine types up to 2.1 do not have them. QEMU hw/display/vga-pci.c
    // (5.2 to 11.1).
    const plain = registers?.["revision"] === 0 && (this.release ?? 0) >= 300;
    const without = registers?.["bar2"] === 0 && kind.device === "VGA" ? "mmio=off" : "qemu-extended-regs=off";
    return [`vgamem_mb=${memory.length / 1048576}`, ...(plain ? [without] : [])];
  }

  /** QXL's two memories. The size of the frame buffer in the first (vgamem_mb) is not in the stream. */
  private qxlMemory(path: string): string[] {
    return (["ram_size_mb", "vram_size_mb"] as const).flatMap((option, i) => {
      const block = this.survey.blocks.get(`${path}/${i === 0 ? "qxl.vgavram" : "qxl.vram"}`);
      return block === undefined ? [] : [`${option}=${block.length / 1048576}`];
    });
  }

  /** A memory backend whose block is named by the device's path and the backend's id. */
  private memoryOf(kind: DeviceKind, path: string): string | undefined {
    const { backend } = kind;
    const records = kind.name === "acpi-erst" ? recordsBlock(this.survey) : undefined;
    if (records !== undefined) return `memdev=${records[0]}`;
    const name = [...this.survey.blocks.keys()].find((block) => block.startsWith(`${path}/`));
    const id = name?.slice(path.length + 1);
    return backend === "memdev" && kind.name !== "acpi-erst" && id !== undefined && isId(id)
      ? `memdev=${id}`
      : undefined;
  }

  /**
   * The backend of a network device: one with offloads if a virtio-net's state says that it had one (`has_vnet_hdr`);
   * else the user network for the first device, if the source had one.
   */
  private network({ name, state }: SurveyedDevice): string | undefined {
    if (state !== undefined && findRecord(state, "has_vnet_hdr") === 1) {
      const [, given = ""] = this.backend("netdev").split("=");
      this.notes.push(
        `${name}: its network backend has offloads (vnet_hdr): ${given} stands for one that has them, as -netdev tap`,
      );
      return given;
    }
    if (this.networkTaken || !this.survey.devices.some((one) => one.name === "slirp")) return undefined;
    this.networkTaken = true;
    return "net0";
  }

  /** `drive=DRIVE0`: a placeholder for a backend of the user. */
  private backend(kind: NonNullable<DeviceKind["backend"]>): string {
    const n = this.used.get(kind) ?? 0;
    // The controller of an interface is a device that the stream has too.
    if (kind === "bmc") return `bmc=bmc${this.interfaces++}`;
    this.used.set(kind, n + 1);
    return `${kind}=${kind === "chardev1" ? "CHARDEV1" : kind.toUpperCase()}${n}`;
  }
}

/** What a device needs besides its place: memory, drives, character devices, networks. */
import type { DeviceState } from "../../codec/vmstate/index.js";
import type { Topology } from "./device-topology.js";
import { userNetworks } from "./device-places.js";
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
  /** User networks that no device has yet. */
  private readonly networks: number[];
  /** The block of acpi-erst's records. */
  private readonly records: string | undefined;

  /** @param notes is extended by what the placeholders mean */
  constructor(
    private readonly survey: Survey,
    private readonly topology: Topology,
    private readonly notes: string[],
  ) {
    this.networks = userNetworks(survey);
    [this.records] = recordsBlock(survey) ?? [];
  }

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
    const plain = registers?.["revision"] === 0 && (this.topology.release ?? 0) >= 300;
    const without = registers?.["bar2"] === 0 && kind.device === "VGA" ? "mmio=off" : "qemu-extended-regs=off";
    return [`vgamem_mb=${memory.length / 1048576}`, ...(plain ? [without] : [])];
  }

  /**
   * QXL's two memories: the first is named otherwise in a second card. The size of the frame buffer in it (vgamem_mb) is
   * not in the stream.
   */
  private qxlMemory(path: string): string[] {
    return (["ram_size", "vram_size"] as const).flatMap((option, i) => {
      const { blocks } = this.survey;
      const block =
        i === 0
          ? (blocks.get(`${path}/qxl.vgavram`) ?? blocks.get(`${path}/vga.vram`))
          : blocks.get(`${path}/qxl.vram`);
      return block === undefined ? [] : [qxlSize(option, block.length)];
    });
  }

  /** A memory backend whose block is named by the device's path and the backend's id. */
  private memoryOf(kind: DeviceKind, path: string): string | undefined {
    const { backend } = kind;
    if (kind.name === "acpi-erst" && this.records !== undefined) return `memdev=${this.records}`;
    const [id] = this.topology.blocksOf(path);
    return backend === "memdev" && kind.name !== "acpi-erst" && id !== undefined && isId(id)
      ? `memdev=${id}`
      : undefined;
  }

  /**
   * The backend of a network device: one with offloads if a virtio-net's state says that it had one (`has_vnet_hdr`);
   * else one of the source's user networks, while there are any.
   */
  private network({ name, state }: SurveyedDevice): string | undefined {
    if (state !== undefined && findRecord(state, "has_vnet_hdr") === 1) {
      const [, given = ""] = this.backend("netdev").split("=");
      this.notes.push(
        `${name}: its network backend has offloads (vnet_hdr): ${given} stands for one that has them, as -netdev tap`,
      );
      return given;
    }
    const free = this.networks.shift();
    return free === undefined ? undefined : `net${free}`;
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

/** In MiB, or in bytes: quickemu gives 65536 bytes. */
function qxlSize(option: string, length: number): string {
  return length % 1048576 === 0 ? `${option}_mb=${length / 1048576}` : `${option}=${length}`;
}

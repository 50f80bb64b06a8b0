/** More texts of devices and CPUs about their state. Source: QEMU hw/, target/, backends/tpm, hw/vfio (5.2 to 11.1). */
import { plainTexts, type PlainRow } from "../causes/plain.js";

const DEVICES = { what: "see all that the file says of its devices", command: ["qevm", "devices", "FILE"] };
const HOST = "the host's CPU or kernel does not take the state of the guest's CPU";

const ROWS: readonly PlainRow[] = [
  [
    "spapr-cap",
    0,
    /cap-(?<cap>[\w-]+) (?<order>higher|lower) level \((?<received>\d+)\) in incoming stream than on destination \((?<local>\d+)\)/u,
    "the guest was started with cap-{cap} at level {received}, and the destination has {local}: pseries checks what the guest was promised. Levels: 0 broken or off, 1 workaround or on, 2 fixed (cap-ibs: 2 fixed-ibs, 3 fixed-ccd, 4 fixed-na)",
    [
      {
        what: "give the machine the source's cap- properties, or load on a host whose firmware has them",
        arguments: ["-machine", "pseries,cap-NAME=VALUE"],
      },
    ],
  ],
  [
    "spapr-interrupts",
    0,
    /Guest requested unavailable interrupt mode \((?<mode>XICS|XIVE)\)[^\n]*/u,
    "the guest uses the interrupt controller {mode}, which the destination does not offer",
    [{ what: "offer both", arguments: ["-machine", "pseries,ic-mode=dual"] }],
  ],
  [
    "spapr-compat",
    0,
    /(?:Compatibility PVR 0x(?<received>[0-9a-f]+) not valid for CPU|(?:Unable to set compatibility mode|Failed to set (?:KVM|compat)[\w ]*)[^\n]*)/u,
    "the guest runs in a compatibility mode that the destination's CPU does not have",
    [{ what: "name the source's mode", arguments: ["-machine", "pseries,max-cpu-compat=power9"] }],
  ],
  [
    "virtio-count",
    0,
    /Invalid number of virtqueues: (?<received>0x[0-9a-f]+)/u,
    "the stream's virtio device has more queues ({received}) than QEMU has at all (1024): the loader lost its place, or the bytes are damaged",
    [DEVICES],
  ],
  [
    "virtio-net-saved",
    0,
    /virtio-net: saved image (?<what>[^\n]+)/u,
    "the network backend of the destination lacks what the guest was promised: {what}. tap has vnet_hdr and offloads, -netdev user has not; RSS needs as many queues",
    [DEVICES],
  ],
  [
    "virtio-serial-port",
    0,
    /virtio-serial-bus: Unexpected port id (?<port>\d+) for device (?<name>\S+)/u,
    "the source has a virtio-serial port {port} on {name}, the destination has not: ports are compared by number (nr=)",
    [{ what: "give the destination that port", arguments: ["-device", "virtserialport,nr=PORT,chardev=CHARDEV0"] }],
  ],
  [
    "virtio-queue-size",
    0,
    /virtio: queue (?<queue>\d+) size (?<received>\d+) exceeds max size (?<local>\d+)/u,
    "queue {queue} is of {received} entries in the stream, and the destination's device has {local}",
    [DEVICES],
  ],
  [
    "virtio-map",
    0,
    /virtio: (?:error trying to map MMIO memory|invalid address for buffers|unexpected memory split)/u,
    "a request that was in flight points outside the guest's memory: other memory at the destination (-m, memory devices), or damaged bytes",
    [DEVICES],
  ],
  [
    "inflight",
    0,
    /(?:inflight (?:buffer subsection has not been loaded|[^\n]*)|vhost-[\w-]+ [^\n]*(?:migrat|inflight|postcopy)[^\n]*|Error: Unsupported inflight [^\n]*)/u,
    "a vhost-user device and its backend do not agree on what was in flight: the backend is another, or of another version",
  ],
  [
    "pci-irq",
    0,
    /irq state \d+: must be 0 or 1/u,
    "the interrupt lines of a PCI device have values that no device has: damaged bytes, or the loader lost its place",
    [DEVICES],
  ],
  [
    "device-inconsistent",
    0,
    /(?:inconsistent migration stream \([^\n]*\)|inconsistent state in serial device \([^\n]*|ipmi:(?:bt|kcs): vmstate transfer received bad [^\n]*|invalid SCSI request migration data|xhci: setup state param length [^\n]*|: inconsistent (?:state|stream)[^\n]*)/u,
    "a device found values in its state that do not go together: damaged bytes, or a source whose fields differ",
    [DEVICES],
  ],
  [
    "usb-redir",
    0,
    /usb-redir connection broken during migration/u,
    "the connection to the redirected USB device is gone: the guest sees it unplugged. SPICE must take part in the migration for it to live on (seamless-migration)",
  ],
  [
    "scsi-reservation",
    2,
    /SCSI reservation key (?<key>0x[0-9a-f]+) on device '(?<disk>[^'\n]*)' not registered after migration, ignoring/u,
    "a warning: the destination's host is not registered for the persistent reservation that the guest holds",
  ],
  [
    "tpm",
    0,
    /tpm-emulator: [^\n]+/u,
    "the TPM's state goes from swtpm to swtpm: that of the destination must be of the same version and TPM 1.2 or 2, and not be used by another QEMU",
    [{ what: "start the destination's swtpm with an empty state folder and the same --tpm2" }],
  ],
  [
    "dbus-vmstate",
    0,
    /(?:Required VMState Id are missing: (?<names>[^\n]*)|VMState Id (?:'[^'\n]*' is invalid|property is missing)|Invalid (?:DBus vmstate proxy name|vmstate size:?) [^\n]*|Not enough data available to load for Id: [^\n]*|DBus vmstate buffer is too large|Too large vmstate data to save: \d+)/u,
    "helpers of the source that keep state of their own (dbus-vmstate: slirp, swtpm, ...) are missing at the destination, or are others",
  ],
  [
    "vfio-state",
    0,
    /(?:VFIO[ _](?:device|migration|MIGRATION)[^\n]*|Failed to (?:load|resume|restore|set) (?:device|config|VFIO)[^\n]*|Invalid zero-sized VFIO migration region[^\n]*|Failed to (?:mmap|setup) VFIO migration region[^\n]*|Failed to allocate migration data buffer)/u,
    "a passed-through device refused its state: its kind, firmware and driver must be the same on both hosts",
  ],
  [
    "nested",
    0,
    /(?:Received (?:invalid|unsupported) nested state (?:format|size): [^\n]*|Received nested state when kernel cannot restore it|vCPU set in guest-mode inconsistent with migrated kernel nested state|Guest maybe enabled nested virtualization but kernel does not support required[^\n]*)/u,
    "the guest runs guests of its own (nested virtualization): kernel and kvm module of the destination must take that state (nested=1, and not an older kernel)",
  ],
  [
    "kvm-state",
    0,
    /(?:Failed to set (?:XSAVE|nested state|vCPU events|TSC deadline MSR|special registers|general purpose registers|XCRS|LAPIC|debug registers|MSRs)[^\n]*|failed to set xsave state: [^\n]*|Failed to put registers[^\n]*|KVM_SET_\w+ failed: [^\n]*|(?:error: )?failed to set (?:MSR|register) [^\n]*|Unsupported old non-softfloat CPU state|Failed to synchronize CPU state: [^\n]*|failed to decompact xsave area)/u,
    `${HOST}: a CPU feature of the source (-cpu host, AVX-512, PKU, AMX) is not here, or the CPU model differs`,
    [{ what: "give both ends one CPU model that both hosts have", arguments: ["-cpu", "MODEL"] }],
  ],
  [
    "tsc-mismatch",
    0,
    /Mismatch between user-specified TSC frequency and migrated TSC frequency/u,
    "the stream has the frequency of the guest's TSC (cpu/tsc_khz), and the destination's -cpu tsc-frequency= says another",
    [{ what: "leave tsc-frequency= out, or take that of cpu/tsc_khz", command: ["qevm", "devices", "FILE", "cpu"] }],
  ],
  [
    "guest-clock",
    2,
    /Guest clock (?:was not|will not be) migrated[^\n]*/u,
    "a warning (s390): the stream has no guest clock, and the guest may hang for as long as the clocks differ",
  ],
];

export const DEVICE_TEXTS = plainTexts(ROWS);

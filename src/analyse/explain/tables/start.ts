/**
 * Texts of a QEMU that does not start as a destination. Source: QEMU softmmu/vl.c (system/vl.c), qdev, hw/pci,
 * hw/core/loader.c, accel/kvm, util (5.2 to 11.1).
 */
import { plainTexts, type PlainRow } from "../causes/plain.js";

const EXPLAIN = { what: "see the devices that the stream needs", command: ["qevm", "explain", "FILE"] };

const ROWS: readonly PlainRow[] = [
  [
    "cpu-model",
    0,
    /(?:unable to find CPU model '(?<model>[^'\n]*)'|invalid CPU model '[^'\n]*' for [^\n]*|Invalid CPU (?:model|type): [^\n]*)/u,
    "that QEMU does not have the CPU model. A stream does not say its model: it must be the source's",
  ],
  [
    "cpu-host",
    0,
    /(?:(?:warning: )?host doesn't support requested feature: (?<feature>[^\n]*)|Host doesn't support requested features|TCG doesn't support requested feature: [^\n]*)/u,
    "the host's CPU lacks features of the model: with a warning the guest goes on without them, which a guest that uses them does not survive",
    [{ what: "load on a host that has them, or make the guest use an older CPU model from its next boot on" }],
  ],
  [
    "accelerator",
    0,
    /(?:Could not access KVM kernel module: [^\n]*|failed to initialize kvm[^\n]*|invalid accelerator \S+|no accelerator found|kvm version not supported|CPU model '?host'? requires KVM[^\n]*)/u,
    "the destination has no KVM: /dev/kvm is missing, or not allowed. A stream does not say its accelerator, and most saved under KVM do not run under TCG",
    [{ what: "without KVM, to look at it", arguments: ["-accel", "tcg"] }],
  ],
  [
    "memory-host",
    0,
    /cannot set up guest memory '(?<block>[^'\n]*)'(?:: (?<error>[^\n]*))?/u,
    "the host cannot give the memory of {block} ({error}). Less memory than the source's is not possible",
  ],
  [
    "firmware-file",
    0,
    /(?:could not load (?:PC BIOS|bios|firmware|bootloader|kernel|initrd)[^\n]*|failed to find romfile "(?<file>[^"\n]*)"|Could not open option rom '[^'\n]*': [^\n]*|could not find stage1 bootloader)/u,
    "a firmware or ROM file is not there. The stream brings the bytes of it, but QEMU wants a file of the same size at its start",
    [
      {
        what: "take the blocks out of the stream and give them as files (romfile=, -bios)",
        command: ["qevm", "extract", "FILE", "--format", "blocks", "--out", "DIR"],
      },
    ],
  ],
  [
    "property",
    0,
    /(?:Property '(?<name>[^'\n]*)' not found|Property '[^'\n]*' (?:has invalid value|can't (?:find|take) value[^\n]*|is not writable)|Invalid parameter '(?<parameter>[^'\n]*)')/u,
    "an option of the command line is not known to that QEMU, or takes other values: it is of another release",
    [EXPLAIN],
  ],
  [
    "bus-missing",
    0,
    /(?:Bus '(?<bus>[^'\n]*)' not found|No '[\w-]+' bus found for device '[^'\n]*'|Bus '[^'\n]*' (?:is full|does not support hotplugging))/u,
    "a device is to be on a bus that the machine does not have: its controller or bridge comes later on the command line, or is missing, or the machine is another",
    [EXPLAIN],
  ],
  [
    "slot-taken",
    0,
    /PCI: slot (?<slot>\d+) function (?<function>\d+) not available for (?<model>[\w-]+), (?:in use by [^\n]*|reserved)/u,
    "two devices are to be in slot {slot}: a default device is there (-nodefaults, -vga none leave them out)",
    [EXPLAIN],
  ],
  [
    "smp",
    0,
    /(?:Invalid SMP CPUs \d+\. The (?:max|min) CPUs supported by machine '[^'\n]*' is \d+|Invalid CPU topology: [^\n]*|Number of SMP CPUs requested \(\d+\) exceeds[^\n]*|requested \d+ CPUs exceeds GIC maximum \d+)/u,
    "the machine does not take so many CPUs, or -smp's numbers do not multiply to maxcpus",
    [EXPLAIN],
  ],
  [
    "socket",
    1,
    /(?:Failed to (?:connect to|bind socket[^\n:]*|find an available port)[^\n]*|address resolution failed for [^\n]*|Failed to set FD nonblocking|Failed to connect socket[^\n]*|Unable to (?:connect|bind)[^\n]*)/u,
    "the channel of the migration did not come about: the address is not right, another program has the port, or a firewall is between",
  ],
  [
    "module",
    0,
    /(?:Unable to load module \S+[^\n]*|Failed to open module: [^\n]*|Failed to initialize module: [^\n]*)/u,
    "a part of QEMU is in a package of its own that is not installed, or of another build",
  ],
];

export const START_TEXTS = plainTexts(ROWS);

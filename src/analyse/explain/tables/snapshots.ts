/**
 * Texts of internal snapshots (savevm, loadvm). Source: QEMU migration/savevm.c, block/snapshot.c,
 * block/qcow2-snapshot.c, replay (5.2 to 11.1).
 */
import { plainTexts, type PlainRow } from "../causes/plain.js";

const LIST = { what: "see which snapshots the disk has", command: ["qemu-img", "snapshot", "-l", "DISK"] };
const CHECK = { what: "look for what is wrong in the image", command: ["qemu-img", "check", "DISK"] };

const ROWS: readonly PlainRow[] = [
  [
    "loadvm-failed",
    2,
    /Error (?<error>-?\d+) while loading VM state/u,
    "loadvm ends with this whatever the reason was (error {error}): the line before it tells. The disks have been set back to the snapshot by then: the guest must not go on with the old memory",
  ],
  [
    "vmstate-read",
    1,
    /Error while loading vmstate(?:: stream error: (?<error>-?\d+))?/u,
    "the state in the snapshot (or in COLO's checkpoint) could not be loaded: the text before it tells why",
  ],
  [
    "snapshot-missing",
    0,
    /(?:Snapshot '(?<snapshot>[^'\n]*)' does not exist in one or more devices|Device '[^'\n]*' does not have the requested snapshot '[^'\n]*'|Snapshot with id '[^'\n]*' and name '[^'\n]*' does not exist on device '[^'\n]*'|Can't find (?:the )?snapshot|Snapshot can not be found|There is no snapshot available)/u,
    "loadvm wants a snapshot of that name in every writable disk of the machine, not only in the one with the state. A disk that was added later, or a pflash variable store in qcow2, has none",
    [LIST, { what: "attach disks that the snapshot does not have with snapshot=on, readonly=on, or as raw files" }],
  ],
  [
    "snapshot-disk-only",
    0,
    /This is a disk-only snapshot\. Revert to it\s+offline using qemu-img/u,
    "the snapshot in the disk that is to have the state has none (vm_state_size 0): it was made by qemu-img, or another disk of that guest has the state",
    [LIST, { what: "name the disk with the state first, or with QMP's snapshot-load vmstate=" }],
  ],
  [
    "snapshot-unsupported",
    0,
    /(?:Device '(?<device>[^'\n]*)' is writable but does not support snapshots|No (?:available )?block device (?:supports|can accept) snapshots|no block device can store vmstate for snapshot|vmstate block device '[^'\n]*' does not (?:exist|support snapshots)|Device '[^'\n]*' does not support internal snapshots|Block format '[^'\n]*' used by device '[^'\n]*' does not support [a-z ]*internal snapshots?[a-z ]*|Block driver does not support snapshots|(?:VM state device|device) '?[^'\n]*'? is not in the device list)/u,
    "internal snapshots are kept in the disk image itself, and of the usual formats only qcow2 can. One writable disk of another format (raw pflash included) makes savevm and loadvm fail",
    [{ what: "make that disk read-only for the load (readonly=on), or convert it to qcow2" }],
  ],
  [
    "snapshot-load",
    1,
    /(?:Could not load snapshot '(?<snapshot>[^'\n]*)' on '(?<disk>[^'\n]*)'|Error (?:-?\d+ |\(-?\d+\) )?while activating snapshot '[^'\n]*' on '[^'\n]*'|Could not (?:open VM state file|check snapshot '[^'\n]*' on '[^'\n]*')|Failed to load snapshot(?![ \w]))[^\n]*/u,
    "the disk could not be set back to the snapshot. The guest's memory was not touched",
    [CHECK],
  ],
  [
    "snapshot-table",
    0,
    /(?:Failed to read (?:snapshot table|l1 table for snapshot)|snapshot table entry \d+ is incomplete|Snapshot table is too big|(?:Too|Discarding too) much extra metadata in snapshot table entry [^\n]*|You can force-remove all \d+ overhanging snapshots[^\n]*|Snapshot L1 table (?:too large|offset invalid)|Failed to (?:update|remove)[\w ]*snapshot[\w ]*)/u,
    "the qcow2 image's list of snapshots is damaged",
    [CHECK],
  ],
  [
    "snapshot-save",
    0,
    /(?:Error while creating snapshot on '[^'\n]*'|Could not (?:create|delete) snapshot '[^'\n]*' on '[^'\n]*'|Failed to create snapshot '[^'\n]*' on device '[^'\n]*'|Snapshot '[^'\n]*' already exists in one or more devices|Snapshot with name '[^'\n]*' already exists on device '[^'\n]*'|Error while deleting snapshot on device '[^'\n]*')/u,
    "this is said where a snapshot is saved or deleted: nothing was loaded. A snapshot that was begun may be there without a state",
    [LIST],
  ],
  [
    "replay-snapshot",
    0,
    /(?:Could not (?:load|create) snapshot for icount (?:replay|record)|Record\/replay does not allow making snapshot right now)/u,
    "record and replay (-icount rr=) begins at a snapshot of its own: rrsnapshot= names it, and every disk must have it",
    [LIST],
  ],
  [
    "image-lock",
    0,
    /Failed to get (?:shared )?"(?<lock>[\w ]+)" lock(?:\s+Is another [p]rocess using the image[^\n]*)?/u,
    "another program has the disk image open: the source is still running, or a second destination. It is not about the state",
    [
      {
        what: "end the other program; for a source that hands the disk over by migration, share-rw or the same libvirt domain",
      },
    ],
  ],
  [
    "qcow2-open",
    0,
    /(?:Image is corrupt; cannot be opened read\/write|Unsupported qcow2 (?:version \d+|feature\(s\): [^\n]*)|qcow2: Image is corrupt[^\n]*|Could not open backing (?:file|image)[^\n]*|Could not reopen qcow2 layer[^\n]*)/u,
    "the disk image cannot be opened, so the machine does not start: nothing of the state was read",
    [CHECK],
  ],
];

export const SNAPSHOT_TEXTS = plainTexts(ROWS);

import { INIT_LENGTH } from "../../codec/multifd/index.js";
import { roleOf, ROLE_BYTES, type ChannelRole } from "../../io/recording/index.js";

/** The role shown by the first bytes of a connection; undefined if unknown yet. */
export function identifiedRole(head: Uint8Array): ChannelRole | undefined {
  const role = roleOf(head.subarray(0, ROLE_BYTES));
  if (role === "main") return head.length >= MAIN.length && startsWith(head, MAIN) ? role : undefined;
  // Every channel sends a packet at the start (QEMU 4.0 to 11.1), so a hello alone decides nothing.
  if (role === "multifd") return head.length >= PROOF_LENGTH && mayBeMultifd(head) ? role : undefined;
  return role;
}

/** Magic and version. Source: QEMU migration/savevm.c QEMU_VM_FILE_MAGIC, migration/multifd.c MULTIFD_MAGIC. */
const MAIN = [0x51, 0x45, 0x56, 0x4d, 0, 0, 0, 3];
const MULTIFD = [0x11, 0x22, 0x33, 0x44, 0, 0, 0, 1];
/** A TLS record of a handshake, of SSL 3.0 to TLS 1.3. */
export const TLS = [0x16, 0x03];
/** The channel on which cpr-transfer hands over file descriptors. Source: QEMU migration/cpr.c (10.0 to 11.1). */
export const CPR = [0x51, 0x43, 0x50, 0x52];
/** The hello of a multifd channel, then magic and version of its first packet. */
const PROOF_LENGTH = INIT_LENGTH + MULTIFD.length;

/** Whether more bytes could still identify it as a channel. */
export function mayTell(head: Uint8Array): boolean {
  if (head.length < PROOF_LENGTH && mayBeMultifd(head)) return true;
  if (head.length >= ROLE_BYTES) return false;
  if (startsWith(head, MAIN)) return true;
  // A page record with a block name: its offset is below 2^48.
  return startsWith(head, [0, 0]) && !(head.length > 8 && head[8] === 0);
}

function mayBeMultifd(head: Uint8Array): boolean {
  return startsWith(head, MULTIFD) && startsWith(head.subarray(INIT_LENGTH), MULTIFD);
}

/** Whether these bytes begin so, as far as there are any. */
export function startsWith(head: Uint8Array, with_: readonly number[]): boolean {
  return with_.every((byte, k) => k >= head.length || head[k] === byte);
}

import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";

/** How our direction of a TLS connection ends. */
export interface TlsEnd {
  /** Makes it a close_notify. */
  notify(): void;
}

/**
 * Makes the end of our direction TCP's FIN alone: QEMU does not read after its last byte, and a system that closes a
 * socket with bytes unread (a close_notify) resets it, which loses what QEMU has still to send. Multifd channels are an
 * exception: from 10.0 on QEMU takes a missing close_notify there for an error. Source: QEMU migration/multifd.c
 * multifd_send_terminate_threads, multifd_recv_thread.
 */
export function endQuietly(secured: TLSSocket, raw: Socket): TlsEnd {
  let notified = false;
  secured._final = (done): void => {
    if (notified) TLSSocket.prototype._final.call(secured, done);
    else raw.end(() => done());
  };
  return { notify: () => void (notified = true) };
}

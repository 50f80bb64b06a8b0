import { UsageError, type Arguments } from "./arguments.js";
import type { TlsConnector } from "../io/transport/tls/connector.js";
import type { TlsFacts, TlsListener } from "../io/transport/tls/listener.js";
import { safe } from "./output.js";

/** The credentials of a listener, from the option `name`; undefined: plain connections. Errors: usage. */
export async function listenerTls(args: Arguments, name: string): Promise<TlsListener | undefined> {
  const spec = args.text(name);
  const authz = args.list("tls-authz");
  if (spec === undefined) {
    if (authz.length > 0) throw new UsageError(`--tls-authz goes with --${name}`);
    return undefined;
  }
  const { tlsListener } = await import("../io/transport/tls/listener.js");
  return tlsListener(spec, authz);
}

/** The credentials for a destination, from the option `name`; undefined: plain connections. Errors: usage. */
export async function connectorTls(args: Arguments, name: string): Promise<TlsConnector | undefined> {
  const spec = args.text(name);
  const hostname = args.text("tls-hostname");
  if (spec === undefined) {
    if (hostname !== undefined) throw new UsageError(`--tls-hostname goes with --${name}`);
    return undefined;
  }
  const { tlsConnector } = await import("../io/transport/tls/connector.js");
  return tlsConnector(spec, hostname);
}

/** What arrives encrypted is written in the clear only on request. Errors: usage. */
export function checkInClear(args: Arguments, tls: unknown, out: string | undefined): void {
  const wanted = args.flag("in-clear");
  if (tls !== undefined && out !== undefined && !wanted) {
    throw new UsageError("what is received through TLS would be written in the clear; if that is wanted: --in-clear");
  }
  if (wanted && (tls === undefined || out === undefined)) throw new UsageError("--in-clear goes with TLS and --out");
}

/** One line about the encryption, where there is one. */
export function tlsLines(tls: TlsFacts | null): string[] {
  if (tls === null) return [];
  const { protocol, cipher, peer } = tls;
  return [`encrypted by ${protocol}, ${cipher}; the source is ${peer === null ? "anonymous" : safe(peer)}`];
}

import { isIP, type Socket } from "node:net";
import { checkServerIdentity, connect, type ConnectionOptions, type PeerCertificate, type TLSSocket } from "node:tls";
import { QevmError } from "../../../bytes/errors.js";
import { loadCredentials, type Credentials } from "./credentials.js";
import { endQuietly, type TlsEnd } from "./end.js";
import { PSK_CIPHERS } from "./listener.js";
import { handshakeText, refused, verificationText } from "./words.js";

/** Milliseconds for a destination's handshake. */
const LIMIT = 30_000;

/** Credentials for connections to a destination. Made by {@link tlsConnector}. */
export class TlsConnector {
  /** @internal */
  constructor(
    private readonly credentials: Credentials,
    private readonly hostname: string | undefined,
  ) {}

  /**
   * The name that the destination's certificate must be for. Errors: usage, where there is none.
   * @internal
   */
  nameFor(host: string | undefined): string {
    const name = this.hostname ?? host;
    if (name !== undefined) return name;
    const { credentials } = this;
    if (credentials.kind === "x509" && credentials.verifyPeer) {
      throw new QevmError("usage", "a unix: socket has no host name that the destination's certificate could be for", {
        expected: "--tls-hostname",
      });
    }
    return "";
  }

  /**
   * The TLS connection over a connected socket, and how it ends. Errors: io.
   * @internal
   */
  async secure(raw: Socket, uri: string, host: string | undefined): Promise<{ secured: TLSSocket; end: TlsEnd }> {
    const { credentials } = this;
    const name = this.nameFor(host);
    const options: ConnectionOptions =
      credentials.kind === "x509"
        ? {
            ...credentials.files,
            checkServerIdentity: (_: string, certificate: PeerCertificate) => checkServerIdentity(name, certificate),
          }
        : { ciphers: PSK_CIPHERS, pskCallback: () => this.ownKey(credentials), checkServerIdentity: () => undefined };
    const secured = connect({
      ...options,
      socket: raw,
      servername: isIP(name) === 0 ? name : "",
      rejectUnauthorized: false,
      minVersion: "TLSv1.2",
    });
    const end = endQuietly(secured, raw);
    try {
      await handshake(secured, uri);
      this.judge(secured, uri, name);
    } catch (error) {
      secured.on("error", () => undefined);
      secured.destroy();
      raw.destroy();
      throw error;
    }
    return { secured, end };
  }

  /** Errors: io, where the destination has not shown who it is. */
  private judge(secured: TLSSocket, uri: string, name: string): void {
    const { credentials } = this;
    const certificate = secured.getPeerX509Certificate();
    if (credentials.kind === "psk") {
      // A server of TLS 1.3 may ignore the key that it is offered, and show a certificate of anybody.
      if (certificate === undefined && secured.authorized) return;
      throw refused(uri, "the destination did not use the PSK: perhaps it has x509 credentials");
    }
    if (!credentials.verifyPeer || secured.authorized) return;
    // Node declares an Error, and gives its code.
    const code = String(secured.authorizationError ?? "");
    throw refused(uri, verificationText(code, "the destination", { certificate, dir: credentials.dir, name }));
  }

  private ownKey({ username, keys }: Credentials & { kind: "psk" }): { psk: Buffer; identity: string } | null {
    const psk = keys.get(username);
    return psk === undefined ? null : { psk, identity: username };
  }
}

/**
 * Loads the credentials for connections to a destination, in QEMU's layout: `ca-cert.pem`, and where the destination
 * verifies its peers `client-cert.pem` and `client-key.pem`; or `keys.psk`. Source: QEMU crypto/tlscredsx509.c,
 * crypto/tlscredspsk.c (5.2 to 11.1).
 * @param spec the folder, or `x509,dir=DIR,verify-peer=off`, or `psk,dir=DIR,username=NAME`
 * @param hostname the name that the destination's certificate must be for; default: the host of its URI
 * @throws QevmError usage
 * @example
 * const tls = tlsConnector("/etc/pki/qemu", "destination.example");
 * await sendStream(await openSource("vm.mig"), await openDestination("tcp:10.0.0.2:4444", undefined, tls));
 */
export function tlsConnector(spec: string, hostname?: string): TlsConnector {
  const credentials = loadCredentials(spec, "client");
  if (credentials.kind === "psk" && !credentials.keys.has(credentials.username)) {
    const found = [...credentials.keys.keys()].slice(0, 10).join(", ");
    throw new QevmError("usage", `${credentials.dir}/keys.psk has no key of ${JSON.stringify(credentials.username)}`, {
      expected: "username=NAME",
      found,
    });
  }
  return new TlsConnector(credentials, hostname);
}

async function handshake(secured: TLSSocket, uri: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      secured.once("secureConnect", resolve);
      secured.once("error", (error) => reject(refused(uri, handshakeText(error), error)));
      secured.once("close", () => reject(refused(uri, handshakeText(Object.assign(new Error(), { code: "EPIPE" })))));
      timer = setTimeout(
        () => reject(refused(uri, `the TLS handshake did not end within ${LIMIT / 1000} seconds`)),
        LIMIT,
      );
    });
  } finally {
    clearTimeout(timer);
    secured.removeAllListeners("secureConnect");
  }
}

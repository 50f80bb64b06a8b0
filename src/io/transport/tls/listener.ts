import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { createServer, type TLSSocket, type TlsOptions } from "node:tls";
import type { Connection, TlsFacts } from "../connection.js";
import { loadCredentials, type Credentials } from "./credentials.js";
import { endQuietly } from "./end.js";
import { AllowedNames } from "./names.js";
import { handshakeText, oneLine, refused, verificationText } from "./words.js";

export type { TlsFacts } from "../connection.js";

/** Ciphers of PSK with forward secrecy that GnuTLS has, too; TLS 1.3 has its own. */
export const PSK_CIPHERS =
  "ECDHE-PSK-CHACHA20-POLY1305:DHE-PSK-AES256-GCM-SHA384:DHE-PSK-CHACHA20-POLY1305:DHE-PSK-AES128-GCM-SHA256:" +
  "ECDHE-PSK-AES256-CBC-SHA384:ECDHE-PSK-AES128-CBC-SHA256";

/** The first byte of a TLS connection: a record of a handshake. Source: RFC 5246, 6.2.1. */
const HANDSHAKE_RECORD = 0x16;

/**
 * Credentials of a listener: every connection of a source must speak TLS. Made by {@link tlsListener}.
 *
 * Only TLS 1.2 is accepted, which every QEMU with GnuTLS offers. In TLS 1.3 Node sends session tickets after the
 * handshake. A source without a return path does not read them, so that its system resets the connection when it
 * closes, and what it has still to send is lost, although it reports "completed".
 */
export class TlsListener {
  private readonly options: TlsOptions;

  /** @internal */
  constructor(
    private readonly credentials: Credentials,
    private readonly allowed: AllowedNames,
  ) {
    const common = { maxVersion: "TLSv1.2", rejectUnauthorized: false } as const;
    this.options =
      credentials.kind === "x509"
        ? { ...common, ...credentials.files, requestCert: credentials.verifyPeer }
        : { ...common, ciphers: PSK_CIPHERS, dhparam: "auto" };
  }

  /**
   * A connection whose `ready` does the handshake.
   * @internal
   */
  accept(raw: Socket, peer: string): Connection {
    return new Accepted(raw, peer, (socket) => this.secure(socket, peer));
  }

  private async secure(raw: Socket, peer: string): Promise<[TLSSocket, TlsFacts]> {
    const { credentials } = this;
    let identity: string | undefined;
    const secured = await new Promise<TLSSocket>((resolve, reject) => {
      const pskCallback = (_: TLSSocket, name: string): Buffer | null => {
        identity = name;
        return credentials.kind === "psk" ? (credentials.keys.get(name) ?? null) : null;
      };
      // A server of its own for each connection, because its events do not say which connection they are of.
      const server = createServer({
        ...this.options,
        ...(credentials.kind === "psk" ? { pskCallback } : {}),
      });
      server.once("secureConnection", resolve);
      server.once("tlsClientError", (error) => {
        const unknown = credentials.kind === "psk" && identity !== undefined && !credentials.keys.has(identity);
        const why = unknown ? `its PSK name ${JSON.stringify(identity)} is not in keys.psk` : handshakeText(error);
        reject(refused(peer, why, error));
      });
      server.emit("connection", raw);
    });
    secured.on("error", () => undefined);
    const name = this.nameOf(secured, peer, identity);
    if (!this.allowed.allow(name ?? "")) {
      throw refused(peer, `its name ${JSON.stringify(shown(name) ?? "")} is not one of --tls-authz`);
    }
    const cipher = secured.getCipher().standardName;
    return [secured, { protocol: secured.getProtocol() ?? "", cipher, peer: shown(name) }];
  }

  /** Errors: io, where the peer's certificate is not accepted. */
  private nameOf(secured: TLSSocket, peer: string, identity: string | undefined): string | null {
    const { credentials } = this;
    if (credentials.kind === "psk") return identity ?? null;
    const certificate = secured.getPeerX509Certificate();
    if (credentials.verifyPeer && !secured.authorized) {
      // Node declares an Error, and gives its code.
      const code = String(secured.authorizationError ?? "");
      throw refused(peer, verificationText(code, "the source", { certificate, dir: credentials.dir }));
    }
    return certificate?.subject ?? null;
  }
}

/**
 * Loads the credentials of a listener, in QEMU's layout: `ca-cert.pem`, `server-cert.pem`, `server-key.pem` (and
 * `ca-crl.pem`), or `keys.psk`. Source: QEMU crypto/tlscredsx509.c, crypto/tlscredspsk.c (5.2 to 11.1).
 * @param spec the folder, or `x509,dir=DIR,verify-peer=off`, or `psk,dir=DIR`
 * @param authz names of peers that are allowed, with `*`: distinguished names, or user names of PSK; none: any
 * @throws QevmError usage
 * @example
 * await receiveInto("/var/tmp/recording", "tcp:0.0.0.0:4444", {
 *   tls: tlsListener("/etc/pki/qemu", ["CN=source.example,*"]),
 * });
 */
export function tlsListener(spec: string, authz: readonly string[] = []): TlsListener {
  return new TlsListener(loadCredentials(spec, "server"), new AllowedNames(authz));
}

/** A connection that becomes readable and writable with its handshake. */
class Accepted implements Connection {
  tls: TlsFacts | undefined;
  private secured: TLSSocket | undefined;

  constructor(
    private readonly raw: Socket,
    readonly peer: string,
    private readonly secure: (raw: Socket) => Promise<[TLSSocket, TlsFacts]>,
  ) {
    raw.on("error", () => undefined);
  }

  get input(): Readable {
    return this.secured ?? this.raw;
  }

  get output(): Writable | undefined {
    return this.secured;
  }

  async ready(): Promise<void> {
    const first = await firstBytes(this.raw);
    if (first === undefined) throw refused(this.peer, "it closed before the TLS handshake");
    if (first[0] !== HANDSHAKE_RECORD) {
      const plain = "QEVM".startsWith(first.subarray(0, 4).toString("latin1"));
      throw refused(
        this.peer,
        `it begins ${plain ? "a migration without TLS" : "without TLS"}, which this side expects`,
      );
    }
    this.raw.unshift(first);
    const [secured, facts] = await this.secure(this.raw);
    endQuietly(secured, this.raw);
    this.secured = secured;
    this.tls = facts;
  }

  async ended(): Promise<void> {}

  destroy(): void {
    this.secured?.destroy();
    this.raw.destroy();
  }
}

/** The bytes that arrived first; undefined: it closed. */
async function firstBytes(raw: Socket): Promise<Buffer | undefined> {
  return await new Promise((resolve) => {
    const look = (): void => {
      const bytes = raw.read() as Buffer | null;
      if (bytes !== null) done(bytes);
    };
    const gone = (): void => done(undefined);
    const done = (bytes: Buffer | undefined): void => {
      raw.off("readable", look).off("end", gone).off("close", gone);
      resolve(bytes);
    };
    raw.on("readable", look).on("end", gone).on("close", gone);
  });
}

function shown(name: string | null): string | null {
  return name === null ? null : oneLine(name);
}

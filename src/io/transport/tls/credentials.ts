import { X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { QevmError } from "../../../bytes/errors.js";
import { attempt, textOf } from "../attempt.js";
import { expiry } from "./words.js";

/** Which side of a connection these credentials are for: the listener is the server. */
type Endpoint = "server" | "client";

/** Credentials as QEMU's objects `tls-creds-x509` and `tls-creds-psk` hold them. */
export type Credentials =
  | { readonly kind: "x509"; readonly dir: string; readonly verifyPeer: boolean; readonly files: SecureContextOptions }
  | {
      readonly kind: "psk";
      readonly dir: string;
      readonly username: string;
      readonly keys: ReadonlyMap<string, Buffer>;
    };

/** Files of `dir=`. Source: QEMU include/crypto/tlscredsx509.h, crypto/tlscredspsk.c (5.2 to 11.1). */
const CA = "ca-cert.pem";
const CRL = "ca-crl.pem";
const PSK = "keys.psk";
/** Maximum size of one of these files in bytes. */
const LARGEST = 1 << 20;
/** The name of a PSK client without `username=`. Source: QEMU crypto/tlscredspsk.c. */
const USERNAME = "qemu";

/**
 * Loads the credentials of a folder.
 * @param spec the folder (x509 where it has a ca-cert.pem, PSK where it has a keys.psk), or a subset of QEMU's
 *   `-object` syntax: `x509,dir=DIR,verify-peer=off` or `psk,dir=DIR,username=NAME`, also with `tls-creds-` before it; a
 *   comma in a value is written twice
 * @throws QevmError usage (the syntax, a missing or unusable file, a certificate that has expired)
 */
export function loadCredentials(spec: string, endpoint: Endpoint): Credentials {
  const { kind: stated, dir, verifyPeer, username } = parseSpec(spec);
  const kind = stated ?? (existsSync(join(dir, PSK)) && !existsSync(join(dir, CA)) ? "psk" : "x509");
  if (kind === "x509") return { kind, dir, verifyPeer, files: x509Files(dir, endpoint) };
  return { kind, dir, username, keys: pskKeys(join(dir, PSK)) };
}

interface Spec {
  kind: "x509" | "psk" | undefined;
  dir: string;
  verifyPeer: boolean;
  username: string;
}

function parseSpec(text: string): Spec {
  const [, kind, rest] = /^(?:tls-creds-)?(x509|psk)(?:,(.*))?$/su.exec(text) ?? [];
  const spec: Spec = { kind: undefined, dir: text, verifyPeer: true, username: USERNAME };
  if (kind === undefined) {
    if (text === "") throw new QevmError("usage", "the folder of the TLS credentials has an empty name");
    return spec;
  }
  spec.kind = kind as "x509" | "psk";
  spec.dir = "";
  for (const part of splitCommas(rest ?? "")) {
    const [, key = "", value = ""] = /^([a-z-]+)=(.*)$/su.exec(part) ?? [];
    if (key === "dir") spec.dir = value;
    else if (key === "verify-peer" && kind === "x509") spec.verifyPeer = switchOf(part, value);
    else if (key === "username" && kind === "psk") spec.username = value;
    // Of QEMU's object: its name, and the side, which the command knows.
    else if (key !== "id" && key !== "endpoint") {
      const expected = kind === "x509" ? "dir=, verify-peer=" : "dir=, username=";
      throw new QevmError("usage", "TLS credentials", { expected, found: JSON.stringify(part) });
    }
  }
  if (spec.dir === "")
    throw new QevmError("usage", "TLS credentials", { expected: "dir=", found: JSON.stringify(text) });
  return spec;
}

/** Splits at single commas; `,,` is a comma. */
function splitCommas(text: string): string[] {
  if (text === "") return [];
  return text
    .replaceAll(",,", "\0")
    .split(",")
    .map((part) => part.replaceAll("\0", ","));
}

function switchOf(part: string, value: string): boolean {
  if (value === "on" || value === "yes" || value === "true") return true;
  if (value === "off" || value === "no" || value === "false") return false;
  throw new QevmError("usage", "TLS credentials", { expected: "on or off", found: JSON.stringify(part) });
}

function x509Files(dir: string, endpoint: Endpoint): SecureContextOptions {
  const ca = needed(dir, CA);
  checkDates(join(dir, CA), ca);
  const [cert, key] = [`${endpoint}-cert.pem`, `${endpoint}-key.pem`];
  // A client without a certificate is anonymous, which a server with verify-peer=off accepts.
  const anonymous = endpoint === "client" && !existsSync(join(dir, cert)) && !existsSync(join(dir, key));
  const own = anonymous ? {} : { cert: needed(dir, cert), key: needed(dir, key) };
  if (own.cert !== undefined) checkDates(join(dir, cert), own.cert);
  const crl = existsSync(join(dir, CRL)) ? { crl: needed(dir, CRL) } : {};
  const files = { ca, ...own, ...crl };
  try {
    createSecureContext(files);
  } catch (error) {
    throw new QevmError("usage", `${dir}: ${textOf(error)}`, {
      expected: `${CA}, ${cert} and ${key} in PEM, the key without a passphrase`,
      cause: error,
    });
  }
  return files;
}

function needed(dir: string, name: string): Buffer {
  const path = join(dir, name);
  try {
    const bytes = attempt(path, () => readFileSync(path));
    if (bytes.length <= LARGEST) return bytes;
  } catch (error) {
    throw new QevmError("usage", textOf(error), { cause: error });
  }
  throw new QevmError("usage", `${path} has more than ${LARGEST} bytes`);
}

/** QEMU also refuses its own expired certificates at the start. Errors: usage. */
function checkDates(path: string, pem: Buffer): void {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pem);
  } catch (error) {
    throw new QevmError("usage", `${path} is not a certificate: ${textOf(error)}`, { cause: error });
  }
  const why = expiry(certificate);
  if (why !== undefined) throw new QevmError("usage", `${path}: the certificate ${why}`);
}

/** `NAME:HEX`, one a line, as GnuTLS's psktool writes it. */
function pskKeys(path: string): Map<string, Buffer> {
  const keys = new Map<string, Buffer>();
  const text = needed(join(path, ".."), PSK).toString("utf8");
  for (const [index, line] of text.split(/\r?\n/u).entries()) {
    if (line === "" || line.startsWith("#")) continue;
    const [, name = "", hex = ""] = /^([^:]+):((?:[0-9a-f]{2})+)$/iu.exec(line) ?? [];
    if (name === "") throw new QevmError("usage", `${path}: line ${index + 1}`, { expected: "NAME:HEXADECIMAL KEY" });
    keys.set(name, Buffer.from(hex, "hex"));
  }
  if (keys.size === 0) throw new QevmError("usage", `${path} has no key`);
  return keys;
}

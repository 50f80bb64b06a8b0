/** Certificates and keys in QEMU's layout, made by Node alone: there may be no openssl where the tests run. */
import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A certificate authority. */
interface Authority {
  readonly name: string;
  readonly pem: string;
  readonly key: KeyObject;
}

interface Issued {
  /** The common name; the others are C=CH, O=Lab. */
  readonly name: string;
  /** DNS names, and `127.0.0.1` with them. */
  readonly hosts: readonly string[];
  /** Validity, in days from now. */
  readonly from?: number;
  readonly to?: number;
}

export function makeAuthority(name: string): Authority {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  // Basic constraints: a CA. Key usage: keyCertSign, cRLSign.
  const extensions = [extension("551d13", true, "30030101ff"), extension("551d0f", true, "03020106")];
  return { name, key: privateKey, pem: certificate(name, publicKey, extensions, { name, key: privateKey }, -1, 3650) };
}

/** A certificate and its key, both PEM. */
export function issue(by: Authority, { name, hosts, from = -1, to = 3650 }: Issued): { cert: string; key: string } {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const names = hosts.map((host) => tlv(0x82, Buffer.from(host)));
  // Key usage: digitalSignature, keyEncipherment. Extended: serverAuth, clientAuth.
  const extensions = [
    extension("551d0f", true, "030205a0"),
    extension("551d25", false, "301406082b0601050507030106082b06010505070302"),
    extension("551d11", false, tlv(0x30, ...names, tlv(0x87, Buffer.from([127, 0, 0, 1]))).toString("hex")),
  ];
  const key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  return { cert: certificate(name, publicKey, extensions, by, from, to), key };
}

/** The files of QEMU's `dir=` in a new folder. */
export function writePki(folder: string, ca: Authority, server: Issued, client: Issued | undefined): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "ca-cert.pem"), ca.pem);
  for (const [side, issued] of [
    ["server", server],
    ["client", client],
  ] as const) {
    if (issued === undefined) continue;
    const { cert, key } = issue(ca, issued);
    writeFileSync(join(folder, `${side}-cert.pem`), cert);
    writeFileSync(join(folder, `${side}-key.pem`), key);
  }
  return folder;
}

/** A new folder with keys.psk. */
export function writePsk(folder: string, keys: Readonly<Record<string, string>>): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, "keys.psk"),
    Object.entries(keys)
      .map(([name, key]) => `${name}:${key}\n`)
      .join(""),
  );
  return folder;
}

export function pskKey(): string {
  return randomBytes(32).toString("hex");
}

function certificate(
  name: string,
  publicKey: KeyObject,
  extensions: readonly Buffer[],
  by: { name: string; key: KeyObject },
  from: number,
  to: number,
): string {
  // ecdsa-with-SHA256
  const algorithm = tlv(0x30, oid("2a8648ce3d040302"));
  const spki = publicKey.export({ type: "spki", format: "der" });
  const inner = tlv(
    0x30,
    tlv(0xa0, tlv(0x02, Buffer.from([2]))),
    tlv(0x02, Buffer.concat([Buffer.from([1]), createHash("sha1").update(spki).digest().subarray(0, 15)])),
    algorithm,
    distinguished(by.name),
    tlv(0x30, time(from), time(to)),
    distinguished(name),
    spki,
    tlv(0xa3, tlv(0x30, ...extensions)),
  );
  const signature = tlv(0x03, Buffer.from([0]), sign("sha256", inner, by.key));
  const lines =
    tlv(0x30, inner, algorithm, signature)
      .toString("base64")
      .match(/.{1,64}/gu) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

function distinguished(name: string): Buffer {
  const parts = [
    ["550406", "CH"],
    ["55040a", "Lab"],
    ["550403", name],
  ] as const;
  return tlv(
    0x30,
    ...parts.map(([id, text]) => tlv(0x31, tlv(0x30, oid(id), tlv(text === "CH" ? 0x13 : 0x0c, Buffer.from(text))))),
  );
}

/** UTCTime. */
function time(days: number): Buffer {
  const text = new Date(Date.now() + days * 86_400_000).toISOString().replaceAll(/[-:T]/gu, "").slice(2, 14);
  return tlv(0x17, Buffer.from(`${text}Z`));
}

function extension(id: string, critical: boolean, value: string): Buffer {
  const flag = critical ? [Buffer.from("0101ff", "hex")] : [];
  return tlv(0x30, oid(id), ...flag, tlv(0x04, Buffer.from(value, "hex")));
}

function oid(hex: string): Buffer {
  return tlv(0x06, Buffer.from(hex, "hex"));
}

/** A DER value. */
function tlv(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const { length } = body;
  const head = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...head]), body]);
}

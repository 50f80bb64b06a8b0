import type { X509Certificate } from "node:crypto";
import { QevmError } from "../../../bytes/errors.js";
import { textOf } from "../attempt.js";

/** Why a certificate is not valid now; undefined if it is. */
export function expiry(certificate: X509Certificate, now = Date.now()): string | undefined {
  if (Date.parse(certificate.validTo) < now) return `expired on ${certificate.validTo}`;
  if (Date.parse(certificate.validFrom) > now) return `is valid only from ${certificate.validFrom}`;
  return undefined;
}

/** What a failed verification is judged by. */
interface Judged {
  /** Of the peer; undefined: it sent none. */
  certificate: X509Certificate | undefined;
  /** The folder with our ca-cert.pem. */
  dir: string;
  /** The name that the certificate must be for; undefined: any. */
  name?: string | undefined;
}

/** OpenSSL's code of a failed verification in words. `whose`: "the destination". */
export function verificationText(code: string, whose: string, { certificate, dir, name }: Judged): string {
  if (certificate === undefined || code === "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE")
    // GnuTLS sends none where the CA of its own is not among those that the listener names.
    return `${whose} sent no certificate: it has none, or one of another CA`;
  const it = `${whose}'s certificate (${oneLine(certificate.subject)})`;
  const why = expiry(certificate);
  if (/EXPIRED|NOT_YET_VALID/u.test(code)) return `${it} ${why ?? "is of a CA whose certificate is not valid now"}`;
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    const names = certificate.subjectAltName ?? oneLine(certificate.subject);
    return `${it} is not for ${JSON.stringify(name)} but for ${names}`;
  }
  if (code === "CERT_REVOKED") return `${it} is revoked by ${dir}/ca-crl.pem`;
  if (code === "INVALID_PURPOSE") return `${it} is not for this side of a connection`;
  if (/UNABLE_TO|SELF_SIGNED|CERT_SIGNATURE_FAILURE|CERT_UNTRUSTED|INVALID_CA|ISSUER|CHAIN/u.test(code))
    return `${it} is not signed by a CA of ${dir}/ca-cert.pem`;
  return `${it}: ${code}`;
}

/** A subject of Node, one attribute a line from the country to the name, as one line. */
export function oneLine(subject: string): string {
  return attributesOf(subject).toReversed().join(",");
}

/** The attributes of a subject, in the order of the certificate. */
export function attributesOf(subject: string): string[] {
  return subject.split("\n").filter((line) => line !== "");
}

/** OpenSSL's codes of a failed handshake, and what they mean between QEMU and this program. */
const HANDSHAKE: readonly [RegExp, string][] = [
  [
    /WRONG_VERSION_NUMBER|HTTP_REQUEST|UNEXPECTED_MESSAGE|PACKET_LENGTH|RECORD_LENGTH|BAD_RECORD_TYPE/u,
    "it does not speak TLS",
  ],
  [/UNSUPPORTED_PROTOCOL|VERSION_TOO_LOW|PROTOCOL_VERSION/u, "there is no TLS version that both sides accept (1.2)"],
  [
    /NO_SHARED_CIPHER|NO_SUITABLE|HANDSHAKE_FAILURE|ILLEGAL_PARAMETER/u,
    "no cipher that both sides have: perhaps one has x509 credentials and the other PSK",
  ],
  [/UNKNOWN_CA|ALERT_BAD_CERTIFICATE|ALERT_UNSUPPORTED_CERT/u, "it does not accept this side's certificate"],
  [/ALERT_CERTIFICATE_EXPIRED/u, "it says that this side's certificate has expired"],
  [/PSK_IDENTITY|UNKNOWN_PSK/u, "it has a PSK name that is not in keys.psk"],
  [/BAD_RECORD_MAC|DECRYPT|DIGEST_CHECK/u, "the PSK keys of both sides differ, or data was damaged"],
  [/PEER_DID_NOT_RETURN/u, "it sent no certificate"],
];

/** Why a handshake failed, in words. `it` is the peer. */
export function handshakeText(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "ECONNRESET" || code === "EPIPE" || code === "ECONNABORTED")
    return "it closed the connection during the TLS handshake; it may not expect TLS, or not accept these credentials";
  const known = HANDSHAKE.find(([pattern]) => pattern.test(code))?.[1];
  return `the TLS handshake failed: ${known === undefined ? textOf(error) : `${known} (${code})`}`;
}

/** A refused peer. */
export function refused(uri: string, what: string, cause?: unknown): QevmError {
  return new QevmError("io", `${uri}: ${what}`, { cause });
}

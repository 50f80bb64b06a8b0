/** TLS between our own listener and connector, and against what a QEMU would refuse or be refused by. No QEMU here. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectPlain, createServer as createPlain, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, createServer as createTls, type ConnectionOptions } from "node:tls";
import test, { type Test } from "tape";
import { QevmError } from "../src/bytes/errors.js";
import { MemorySource } from "../src/bytes/index.js";
import {
  openDestination,
  receiveInto,
  sendStream,
  tlsConnector,
  tlsListener,
  type Received,
  type Refused,
  type TlsListener,
} from "../src/node.js";
import { corpusEntry } from "../tools/corpus.js";
import { issue, makeAuthority, pskKey, writePki, writePsk } from "./support/pki.js";
import { qevm } from "./support/program.js";
import { dial, listening } from "./support/receiving.js";

const work = mkdtempSync(join(tmpdir(), "qevm-tls-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

const stream = corpusEntry("machine-none-tiny").open();
const SERVER = { name: "destination.example", hosts: ["localhost", "destination.example"] };
const CLIENT = { name: "source.example", hosts: ["localhost"] };
const ca = makeAuthority("Lab CA");
const other = makeAuthority("Other CA");
const pki = writePki(join(work, "pki"), ca, SERVER, CLIENT);
const anonymous = writePki(join(work, "anonymous"), ca, SERVER, undefined);
const keys = { qemu: pskKey(), second: pskKey() };
const psk = writePsk(join(work, "psk"), keys);
const wrongPsk = writePsk(join(work, "wrong-psk"), { qemu: pskKey(), third: pskKey() });

interface Listening {
  uri: string;
  folder: string;
  refused: Refused[];
  received: Promise<Received>;
}

async function receivingTls(tls: TlsListener | undefined, use: (one: Listening) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(work, "rec-"));
  const refused: Refused[] = [];
  let heard: ((uri: string) => void) | undefined;
  const uri = new Promise<string>((resolve) => {
    heard = resolve;
  });
  const received = receiveInto(folder, "tcp:localhost:0", {
    tls,
    onListening: (at) => heard?.(at),
    onRefused: (one) => void refused.push(one),
  });
  received.catch(() => undefined);
  await use({ uri: await uri, folder, refused, received });
}

async function send(uri: string, spec: string, hostname?: string): Promise<void> {
  await sendStream(new MemorySource(stream), await openDestination(uri, undefined, tlsConnector(spec, hostname)));
}

const portOf = (uri: string): number => Number(/\d+$/u.exec(uri)?.[0]);

/** A client of TLS that checks nothing itself; resolves when it is closed. */
async function client(uri: string, options: ConnectionOptions, bytes: Uint8Array = stream): Promise<void> {
  await new Promise<void>((resolve) => {
    const socket = connectTls({ port: portOf(uri), host: "localhost", rejectUnauthorized: false, ...options });
    socket.on("error", () => undefined);
    socket.on("close", () => resolve());
    socket.on("secureConnect", () => socket.write(bytes));
    socket.resume();
  });
}

async function plainly(uri: string, bytes: Uint8Array): Promise<void> {
  await new Promise<void>((resolve) => {
    const socket = connectPlain(portOf(uri), "localhost");
    socket.on("error", () => undefined);
    socket.on("close", () => resolve());
    socket.write(bytes);
    socket.resume();
  });
}

for (const [kind, spec, other_] of [
  ["x509", pki, pki],
  ["x509, one-sided", `x509,dir=${anonymous},verify-peer=off`, anonymous],
  ["QEMU's own syntax", `tls-creds-x509,id=tls0,dir=${pki},endpoint=server,verify-peer=yes`, `x509,dir=${pki}`],
  ["PSK", psk, psk],
  ["PSK, another user", `psk,dir=${psk}`, `psk,dir=${psk},username=second`],
] as const) {
  test(`a stream through TLS: ${kind}`, async (t) => {
    await receivingTls(tlsListener(spec), async ({ uri, folder, received }) => {
      await send(uri, other_);
      const { tls, complete } = await received;
      t.equal(complete, true);
      t.equal(tls?.protocol, "TLSv1.2");
      const peers = { PSK: "qemu", "PSK, another user": "second", "x509, one-sided": null } as Record<
        string,
        string | null
      >;
      t.equal(tls?.peer, kind in peers ? peers[kind] : "CN=source.example,O=Lab,C=CH");
      t.ok(readFileSync(join(folder, "main.bin")).equals(stream), "every byte");
      t.match(readFileSync(join(folder, "recording.json"), "utf8"), /"tls":\{"protocol":"TLSv1\.2"/u);
    });
  });
}

test("peers that a listener refuses, each with its reason, while the source is let in", async (t) => {
  const expired = issue(ca, { ...CLIENT, from: -10, to: -1 });
  const early = issue(ca, { ...CLIENT, from: 1, to: 10 });
  const wrong = issue(other, CLIENT);
  const stranger = issue(ca, { ...CLIENT, name: "stranger.example" });
  const good = issue(ca, CLIENT);
  const cases: [RegExp, (uri: string) => Promise<void>][] = [
    [/begins a migration without TLS/u, (uri) => plainly(uri, stream)],
    [/begins without TLS/u, (uri) => plainly(uri, Buffer.from("GET / HTTP/1.1\r\n\r\n"))],
    [/the TLS handshake failed/u, (uri) => plainly(uri, Buffer.from("160301000401000000", "hex"))],
    [/CN=source\.example,O=Lab,C=CH\) is not signed by a CA of .*ca-cert\.pem/u, (uri) => client(uri, wrong)],
    [/certificate \(CN=source.*\) expired on /u, (uri) => client(uri, expired)],
    [/is valid only from /u, (uri) => client(uri, early)],
    [/the source sent no certificate/u, (uri) => client(uri, {})],
    [/"CN=stranger\.example,O=Lab,C=CH" is not one of --tls-authz/u, (uri) => client(uri, stranger)],
    [/no TLS version that both sides accept/u, (uri) => client(uri, { ...good, minVersion: "TLSv1.3" })],
    [/it does not begin as a channel/u, (uri) => client(uri, good, Buffer.from("GET / HTTP/1.1\r\n\r\n"))],
    [/perhaps one has x509 credentials and the other PSK/u, (uri) => send(uri, psk).catch(() => undefined)],
  ];
  await receivingTls(tlsListener(pki, ["CN=source.*,O=Lab,C=CH"]), async ({ uri, refused, folder, received }) => {
    const silent = await dial(uri);
    const half = await dial(uri);
    half.write(Buffer.from("1603010200010001fc0303", "hex"));
    for (const [why, attempt] of cases) {
      const before = refused.length;
      await attempt(uri);
      t.equal(refused.length, before + 1, String(why));
      t.match(refused.at(-1)?.why ?? "", why);
    }
    await send(uri, pki);
    t.equal((await received).complete, true);
    t.ok(readFileSync(join(folder, "main.bin")).equals(stream), "the source is let in");
    const rest = refused.slice(cases.length).map(({ why }) => why);
    t.equal(rest.length, 2, "and those that stay half-open end with the migration");
    silent.destroy();
    half.destroy();
  });
});

test("what a PSK listener refuses", async (t) => {
  await receivingTls(tlsListener(psk), async ({ uri, refused, received }) => {
    await send(uri, wrongPsk).catch((error: unknown) =>
      t.match(String(error), /PSK keys of both sides differ|closed the/u),
    );
    t.match(refused.at(-1)?.why ?? "", /the PSK keys of both sides differ/u);
    await send(uri, `psk,dir=${wrongPsk},username=third`).catch(() => undefined);
    t.match(refused.at(-1)?.why ?? "", /its PSK name "third" is not in keys\.psk/u);
    await send(uri, psk);
    t.equal((await received).complete, true);
  });
  await receivingTls(tlsListener(psk, ["sec*"]), async ({ uri, refused, received }) => {
    await send(uri, psk).catch(() => undefined);
    t.match(refused.at(-1)?.why ?? "", /"qemu" is not one of --tls-authz/u);
    await send(uri, `psk,dir=${psk},username=second`);
    t.equal((await received).tls?.peer, "second");
  });
});

test("a TLS source at a listener without TLS", async (t) => {
  await receivingTls(undefined, async ({ uri, refused, received }) => {
    await send(uri, pki).catch((error: unknown) => t.match(String(error), /closed the connection during the TLS/u));
    t.match(refused[0]?.why ?? "", /but as TLS, for which this side has no credentials/u);
    await sendStream(new MemorySource(stream), await openDestination(uri));
    t.equal((await received).complete, true);
  });
});

/** What the sender says of a destination. */
async function refusal(
  t: Test,
  server: Server,
  spec: string,
  hostname: string | undefined,
  why: RegExp,
): Promise<void> {
  await new Promise<void>((resolve) => {
    server.listen(0, "localhost", resolve);
  });
  const { port } = server.address() as AddressInfo;
  try {
    await send(`tcp:localhost:${port}`, spec, hostname);
    t.fail(`accepted: ${String(why)}`);
  } catch (error) {
    t.match(String(error), why);
    t.ok(error instanceof QevmError && error.code === "io", "a typed error");
  } finally {
    server.close();
  }
}

function serverWith(pair: { cert: string; key: string }): Server {
  return createTls(pair, (socket) => socket.on("error", () => undefined));
}

test("destinations that are refused, each with the reason", async (t) => {
  const expired = issue(ca, { ...SERVER, from: -10, to: -1 });
  await refusal(t, serverWith(expired), pki, undefined, /the destination's certificate \(CN=dest.*\) expired on /u);
  await refusal(t, serverWith(issue(other, SERVER)), pki, undefined, /is not signed by a CA of .*pki\/ca-cert\.pem/u);
  await refusal(
    t,
    serverWith(issue(ca, SERVER)),
    pki,
    "else.example",
    /is not for "else\.example" but for DNS:localhost/u,
  );
  await refusal(t, serverWith(issue(ca, SERVER)), psk, undefined, /did not use the PSK: perhaps it has x509/u);
  const old = createTls({ ...issue(ca, SERVER), maxVersion: "TLSv1.2" });
  await refusal(t, old, psk, undefined, /x509 credentials and the other PSK/u);
  await refusal(
    t,
    createPlain((socket) => socket.end("hello, no TLS here\n")),
    pki,
    undefined,
    /it does not speak TLS/u,
  );
  await refusal(
    t,
    createPlain((socket) => socket.destroy()),
    pki,
    undefined,
    /it may not expect TLS/u,
  );
});

test("credentials that cannot be used, before any connection", (t) => {
  const folder = join(work, "broken");
  mkdirSync(folder);
  const refusedWith = (make: () => unknown, why: RegExp): void => {
    try {
      make();
      t.fail(`accepted: ${String(why)}`);
    } catch (error) {
      t.match(String(error), why);
      t.equal((error as QevmError).code, "usage");
    }
  };
  refusedWith(() => tlsListener(folder), /ca-cert\.pem: ENOENT/u);
  const old = issue(ca, { ...SERVER, from: -10, to: -1 });
  writePki(folder, ca, SERVER, CLIENT);
  writeFileSync(join(folder, "server-cert.pem"), old.cert);
  refusedWith(() => tlsListener(folder), /server-cert\.pem: the certificate expired on /u);
  writeFileSync(join(folder, "server-cert.pem"), "no certificate");
  refusedWith(() => tlsListener(folder), /server-cert\.pem is not a certificate/u);
  writeFileSync(join(folder, "client-key.pem"), old.key);
  refusedWith(() => tlsConnector(folder), /key values mismatch/u);
  writeFileSync(join(folder, "keys.psk"), "qemu:xyz\n");
  refusedWith(() => tlsListener(`psk,dir=${folder}`), /keys\.psk: line 1/u);
  refusedWith(() => tlsConnector(`psk,dir=${psk},username=nobody`), /no key of "nobody"/u);
  refusedWith(() => tlsConnector("x509,verify-peer=off"), /expected dir=/u);
  refusedWith(() => tlsConnector(`x509,dir=${pki},username=x`), /found "username=x"/u);
  refusedWith(() => tlsConnector(`x509,dir=${pki},verify-peer=perhaps`), /expected on or off/u);
  refusedWith(() => tlsConnector(""), /empty name/u);
  refusedWith(() => tlsListener(pki, [" "]), /allowed peer is empty/u);
  t.end();
});

test("TLS without a socket, and without a name to check", async (t) => {
  const connector = tlsConnector(pki);
  for (const [uri, why] of [
    ["exec:cat", /TLS needs a socket/u],
    ["fd:9", /TLS needs a socket/u],
    ["unix:/nowhere", /expected --tls-hostname/u],
  ] as const) {
    try {
      await openDestination(uri, undefined, connector);
      t.fail(uri);
    } catch (error) {
      t.match(String(error), why, uri);
    }
  }
  try {
    await receiveInto(work, "exec:cat", { tls: tlsListener(pki) });
    t.fail("exec:");
  } catch (error) {
    t.match(String(error), /TLS needs a socket/u);
  }
});

test("the commands: what came encrypted is written in the clear only on request", async (t) => {
  const out = join(work, "vm.mig");
  const file = join(work, "sent.mig");
  writeFileSync(file, stream);
  for (const [args, why] of [
    [["receive", "tcp:localhost:0", "--out", out, "--tls", pki], /in the clear; if that is wanted: --in-clear/u],
    [["receive", "tcp:localhost:0", "--out", out, "--in-clear"], /--in-clear goes with TLS/u],
    [["receive", "tcp:localhost:0", "--out", out, "--tls-authz", "x"], /--tls-authz goes with --tls/u],
    [["relay", "tcp:localhost:0", "tcp:localhost:1", "--connect-tls", pki, "--out", out], /--in-clear/u],
    [["relay", "tcp:localhost:0", "tcp:localhost:1", "--tls-hostname", "x"], /goes with --connect-tls/u],
    [["send", file, "exec:cat", "--tls", pki], /TLS needs a socket/u],
  ] as const) {
    const { code, stderr } = await qevm(args);
    t.equal(code, 2, args.join(" "));
    t.match(stderr, why);
  }
  await listening(["receive", `unix:${work}/s`, "--out", out, "--tls", pki, "--in-clear"], async ({ uri, ended }) => {
    // More than is read before it is refused.
    const large = join(work, "large.mig");
    writeFileSync(large, Buffer.concat([stream, Buffer.alloc(4 << 20)]));
    const plain = await qevm(["send", large, uri]);
    t.equal(plain.code, 2);
    t.match(plain.stderr, /or expects TLS/u);
    const sent = await qevm(["send", file, uri, "--tls", pki, "--tls-hostname", "destination.example"]);
    t.equal(sent.code, 0, sent.stderr);
    const { code, stdout, stderr } = await ended();
    t.equal(code, 0, stderr);
    t.match(stderr, /begins a migration without TLS/u);
    t.match(stdout, /encrypted by TLSv1\.2, .*; the source is CN=source\.example,O=Lab,C=CH/u);
    t.ok(readFileSync(out).equals(stream));
  });
});

test("idle and half-open connections at a TLS listener do not keep the source out", async (t) => {
  await receivingTls(tlsListener(pki), async ({ uri, refused, folder, received }) => {
    for (let k = 0; k < 320; k++) {
      const socket = await dial(uri);
      // Every other one begins a handshake, and does not go on.
      if (k % 2 === 0) socket.write(Buffer.from("1603010200010001fc0303", "hex"));
    }
    await send(uri, pki);
    t.equal((await received).complete, true);
    t.ok(readFileSync(join(folder, "main.bin")).equals(stream));
    t.ok(
      refused.some(({ why }) => why.startsWith("more than 300 connections")),
      "the oldest were closed",
    );
  });
});

/** TLS with real QEMUs, as source and as destination. */
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type Test } from "tape";
import { takeTruth } from "../tools/capture/truth.js";
import { corpusEntry } from "../tools/corpus.js";
import { compare, destinationLike, startDestination } from "../tools/destination/index.js";
import { still } from "../tools/recording/machines.js";
import { migrateTo, startSource } from "../tools/recording/record.js";
import { qemuOf } from "./support/loads.js";
import { makeAuthority, pskKey, writePki, writePsk } from "./support/pki.js";
import { qevm } from "./support/program.js";
import { freePort, receiving } from "./support/receiving.js";
import { arrived, LIVE, switching, through, type Side, type Way } from "./support/relayed.js";
import { flatDocument } from "./support/document.js";

const work = mkdtempSync(join(tmpdir(), "qevm-tls-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

const SERVER = { name: "destination.example", hosts: ["localhost"] };
const CLIENT = { name: "source.example", hosts: ["localhost"] };
const ca = makeAuthority("Lab CA");
const pki = writePki(join(work, "pki"), ca, SERVER, CLIENT);
const foreign = writePki(join(work, "foreign"), makeAuthority("Other CA"), SERVER, CLIENT);
/** The right CA, and a client's certificate of another one. */
const mixed = writePki(join(work, "mixed"), ca, SERVER, undefined);
for (const name of ["client-cert.pem", "client-key.pem"]) copyFileSync(join(foreign, name), join(mixed, name));
/** Certificates that have expired; QEMU takes its own only without its sanity check. */
const expired = writePki(join(work, "expired"), ca, { ...SERVER, from: -10, to: -1 }, { ...CLIENT, from: -10, to: -1 });
const psk = writePsk(join(work, "psk"), { qemu: pskKey() });

/** A QEMU's arguments, files and parameters for credentials of a folder. */
function creds(folder: string, endpoint: "client" | "server", more = ""): Required<Pick<Side, "more" | "parameters">> {
  const names = readdirSync(folder);
  const type = names.includes("keys.psk") ? "psk" : "x509";
  const files = Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name))]));
  const object = `tls-creds-${type},id=tls0,endpoint=${endpoint},dir=$DIR${more}`;
  const host = endpoint === "client" ? { "tls-hostname": "localhost" } : {};
  return { more: { args: ["-object", object], files }, parameters: { "tls-creds": "tls0", ...host } };
}

function side(of: Pick<Side, "more" | "parameters">, capabilities: readonly string[], channels = 0): Side {
  const parameters = { ...of.parameters, ...(channels === 0 ? {} : { "multifd-channels": channels }) };
  return { ...of, capabilities: [...capabilities, ...(channels === 0 ? [] : ["multifd"])], parameters };
}

const MACHINE_11 = { ...LIVE, args: LIVE.args.map((arg) => arg.replace("pc-i440fx-7.2", "pc-i440fx-9.2")) };

const PLAIN: Pick<Side, "parameters"> = { parameters: {} };
const RETURN = ["return-path"];
const server = creds(pki, "server");
const BOTH = ["--listen-tls", pki, "--connect-tls", pki];

/** Source and destination, the guest, and what `qevm relay` is told. */
const WAYS: readonly [string, string, string, Way][] = [
  [
    "x509 on both sides, multifd with 4 channels, recorded",
    "7.2",
    "7.2",
    {
      source: side(creds(pki, "client"), RETURN, 4),
      destination: side(creds(pki, "server"), RETURN, 4),
      options: [...BOTH, "--tls-authz", "CN=source.example,O=Lab,C=CH", "--out", "$DIR/rec", "--in-clear"],
    },
  ],
  [
    "x509 on both sides, multifd with 4 channels",
    "10.0",
    "10.0",
    {
      source: side(creds(pki, "client"), RETURN, 4),
      destination: side(creds(pki, "server"), RETURN, 4),
      options: BOTH,
      machine: MACHINE_11,
    },
  ],
  [
    "x509 on both sides, multifd with 4 channels",
    "11.1",
    "11.1",
    {
      source: side(creds(pki, "client"), RETURN, 4),
      destination: side(creds(pki, "server"), RETURN, 4),
      options: BOTH,
      machine: MACHINE_11,
    },
  ],
  ...(["7.2", "11.1"] as const).map((to): [string, string, string, Way] => [
    "x509 on both sides, pages of 3 plain channels into 2 with zlib",
    "7.2",
    to,
    {
      source: side(creds(pki, "client"), RETURN, 3),
      destination: side({ ...server, parameters: { ...server.parameters, "multifd-compression": "zlib" } }, RETURN, 2),
      options: [...BOTH, "--multifd", "zlib", "--channels", "2", "--qemu", to],
      machine: still(),
    },
  ]),
  [
    "PSK on the source's side only, multifd with 2 channels",
    "7.2",
    "7.2",
    {
      source: side(creds(psk, "client"), RETURN, 2),
      destination: side(PLAIN, RETURN, 2),
      options: ["--listen-tls", psk],
      machine: still(),
    },
  ],
  [
    "PSK on the destination's side only, compressed pages made plain",
    "7.2",
    "11.1",
    {
      source: side(PLAIN, ["compress", ...RETURN]),
      destination: side(creds(psk, "server"), RETURN),
      options: ["--connect-tls", psk, "--ram", "normal"],
      machine: still(),
    },
  ],
  [
    "x509 here and PSK there, one way",
    "7.2",
    "10.0",
    {
      source: side(creds(pki, "client"), []),
      destination: side(creds(psk, "server"), []),
      options: ["--listen-tls", pki, "--connect-tls", psk],
      machine: still(),
    },
  ],
];

for (const [what, from, to, way] of WAYS) {
  test(`${from} through a relay to ${to}: ${what}`, async (t) => {
    const [source, destination] = [qemuOf(t, from), qemuOf(t, to)];
    if (source === undefined || destination === undefined) return;
    await through(source, destination, way, async (outcome) => {
      if (!(await arrived(t, way, outcome)) || !way.options.includes("--out")) return;
      t.match(outcome.ended.stdout, /the source is CN=source\.example,O=Lab,C=CH/u);
    });
  });
}

for (const version of ["7.2", "10.0", "11.1"]) {
  test(`${version} switches to postcopy with preempt, TLS on both sides`, async (t) => {
    const qemu = qemuOf(t, version);
    if (qemu === undefined) return;
    const both = ["postcopy-ram", "postcopy-preempt"];
    const client = creds(pki, "client");
    const way: Way = {
      source: client,
      destination: side(creds(pki, "server"), both),
      options: [...BOTH, "--json"],
      machine: version === "7.2" ? LIVE : MACHINE_11,
      migrate: (vm, uri) => switching(vm, uri, ["postcopy-preempt"], client.parameters),
    };
    await through(qemu, qemu, way, async ({ ended, loaded, truth, failure }) => {
      t.equal(ended.code, 0, ended.stderr);
      t.equal(loaded.result.status, "completed", loaded.result.error);
      if (truth === undefined) t.fail(`the source: ${String(failure)}`);
      else t.ok((await compare(loaded.vm, truth)).differentBlocks.length <= 1, "memory as in the source");
      const { channels, tls } = flatDocument(ended.stdout) as { channels: { role: string }[]; tls: { peer: string } };
      t.deepEqual(channels.map(({ role }) => role).toSorted(), ["main", "preempt", "return-path"]);
      t.equal(tls.peer, "CN=source.example,O=Lab,C=CH");
    });
  });
}

for (const [version, folder, capabilities, channels] of [
  ["7.2", pki, [], 4],
  ["7.2", psk, RETURN, 0],
  ["11.1", pki, RETURN, 4],
  ["10.0", psk, [], 2],
] as const) {
  const kind = folder === psk ? "PSK" : "x509";
  const how = `${kind}, ${channels} channels, ${capabilities.length === 0 ? "one way" : "return path"}`;
  test(`a real ${version} migrates to receive: ${how}`, async (t) => {
    const qemu = qemuOf(t, version);
    if (qemu === undefined) return;
    const args = ["--out", "$DIR/rec/", "--tls", folder, "--in-clear", "--json"];
    const machine = still();
    await receiving(args, async ({ folder: out, uri, ended }) => {
      const { more, parameters = {}, capabilities: caps = [] } = side(creds(folder, "client"), capabilities, channels);
      const vm = await startSource(qemu, {
        args: [...machine.args, ...(more?.args ?? [])],
        files: { ...machine.files, ...more?.files },
      });
      try {
        await migrateTo(vm, uri, { ...machine, capabilities: caps, parameters });
        const truth = await takeTruth(vm, null);
        const { code, stdout, stderr } = await ended();
        t.equal(code, 0, stderr);
        t.equal((flatDocument(stdout) as { tls: { protocol: string } }).tls.protocol, "TLSv1.2");
        t.equal((await qevm(["verify", join(out, "rec")])).code, 0);
        const sent = await qevm(["convert", join(out, "rec"), "--out", join(out, "plain"), "--to", "stream"]);
        t.equal(sent.code, 0, sent.stderr);
        const loaded = await startDestination({ qemu, ...machine, stream: join(out, "plain") });
        try {
          t.equal(loaded.result.status, "completed", loaded.result.error);
          t.deepEqual((await compare(loaded.vm, truth)).differentBlocks, [], "memory as in the source");
        } finally {
          await loaded.vm.close();
        }
      } finally {
        await vm.close();
      }
    });
  });
}

for (const version of ["7.2", "11.1"]) {
  test(`a real ${version} is refused by receive, each time in words, and then taken`, async (t) => {
    const qemu = qemuOf(t, version);
    if (qemu === undefined) return;
    const vm = await startSource(qemu, still());
    const attempt = async (uri: string, id: string): Promise<string> => {
      await vm.execute("migrate-set-parameters", { "tls-creds": id, "tls-hostname": "localhost" });
      const recipe = { ...still(), capabilities: ["return-path"], parameters: {} };
      return await migrateTo(vm, uri, recipe).then(() => "completed", String);
    };
    try {
      for (const [id, folder] of Object.entries({ right: pki, foreign, expired })) {
        cpSync(folder, vm.file(id), { recursive: true });
        const where = { endpoint: "client", dir: `$DIR/${id}`, "sanity-check": false };
        await vm.execute("object-add", { "qom-type": "tls-creds-x509", id, ...where });
      }
      await receiving(["--out", "$DIR/plain/"], async ({ uri, folder }) => {
        t.notEqual(await attempt(uri, "right"), "completed", "TLS at a plain listener");
        t.notOk(existsSync(join(folder, "plain")), "nothing of it is kept");
      });
      await receiving(["--out", "$DIR/rec/", "--tls", pki, "--in-clear"], async ({ uri, ended }) => {
        for (const id of ["", "foreign", "expired"]) t.notEqual(await attempt(uri, id), "completed", id);
        t.equal(await attempt(uri, "right"), "completed");
        const { code, stderr } = await ended();
        t.equal(code, 0);
        t.match(stderr, /plain|without TLS/u, "a plain migration");
        t.match(stderr, /sent no certificate: it has none, or one of another CA/u);
        t.match(stderr, /certificate \(CN=source.*\) expired on /u);
        t.equal(stderr.match(/^closed a connection/gmu)?.length, 3, stderr);
      });
    } finally {
      await vm.close();
    }
  });
}

/** A real destination with credentials of `folder`, and `qevm send` to it. */
async function sendTo(
  t: Test,
  version: string,
  folder: string,
  send: (uri: string) => readonly string[],
  entry = corpusEntry("machine-none"),
  more509 = ",verify-peer=on",
): Promise<{ status: string; error: string; code: number | null; stderr: string } | undefined> {
  const qemu = qemuOf(t, version);
  if (qemu === undefined) return undefined;
  const uri = `tcp:127.0.0.1:${await freePort()}`;
  const { more, parameters } = creds(folder, "server", folder === psk ? "" : more509);
  const like = destinationLike(entry, { qemu, stream: uri });
  let ended = { code: null as number | null, stderr: "" };
  const { vm, result } = await startDestination({
    ...like,
    args: [...like.args, ...more.args],
    files: { ...like.files, ...more.files },
    parameters,
    stream: uri,
    timeout: 1500,
    onListening: async () => {
      ended = await qevm(["send", ...send(uri)]);
    },
  });
  await vm.close();
  return { status: result.status, error: result.error, ...ended };
}

for (const version of ["7.2", "10.0", "11.1"]) {
  test(`send to a real ${version} through TLS, and what each says where it is refused`, async (t) => {
    const file = join(work, "vm.mig");
    const entry = corpusEntry("machine-none");
    writeFileSync(file, entry.open());
    for (const folder of [pki, psk]) {
      const found = await sendTo(t, version, folder, (uri) => [file, uri, "--tls", folder]);
      if (found === undefined) return;
      t.deepEqual([found.status, found.code], ["completed", 0], `${found.error} ${found.stderr}`);
    }
    const plain = await sendTo(t, version, pki, (uri) => [file, uri]);
    t.notEqual(plain?.status, "completed", plain?.error);
    t.equal(plain?.code, 2);
    t.match(plain?.stderr ?? "", /expects TLS/u);
    const wrong = await sendTo(t, version, pki, (uri) => [file, uri, "--tls", foreign]);
    t.match(wrong?.stderr ?? "", /not signed by a CA of .*foreign\/ca-cert\.pem/u);
    t.notEqual(wrong?.status, "completed");
    // It refuses after the handshake; of a stream this short, all may be sent by then.
    const unknown = await sendTo(t, version, pki, (uri) => [file, uri, "--tls", mixed]);
    t.notEqual(unknown?.status, "completed", `${unknown?.stderr.trim()} | ${unknown?.error}`);
    const other = await sendTo(t, version, pki, (uri) => [file, uri, "--tls", pki, "--tls-hostname", "else.example"]);
    t.match(other?.stderr ?? "", /is not for "else\.example"/u);
    const unchecked = ",verify-peer=on,sanity-check=off";
    const old = await sendTo(t, version, expired, (uri) => [file, uri, "--tls", pki], entry, unchecked);
    t.match(old?.stderr ?? "", /the destination's certificate \(CN=dest.*\) expired on /u);
    t.notEqual(old?.status, "completed");
    const key = await sendTo(t, version, pki, (uri) => [file, uri, "--tls", psk]);
    t.match(key?.stderr ?? "", /PSK|TLS handshake/u);
  });
}

/** Guests of one libvirt daemon migrate to another one, through a relay, as `virsh migrate --migrateuri` has it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { readyAddress, readyMark } from "../tools/guest/listing.js";
import { fillGuest } from "../tools/guest/patterns.js";
import { LibvirtNode, noNodes, SOCKETS } from "./support/libvirt-nodes.js";
import { makeAuthority, writePki } from "./support/pki.js";
import { PROGRAM, qevm } from "./support/program.js";
import { freePort } from "./support/receiving.js";
import { pathOf } from "./support/virsh.js";

const work = mkdtempSync(join(tmpdir(), "qevm-nodes-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));
const reason = noNodes();
const MEMORY = 16 << 20;
const disk = join(work, "boot.img");
const domain = `<domain type='qemu'>
  <name>tiny</name><memory unit='MiB'>16</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>
  <devices>
    <emulator>${pathOf("qemu-system-x86_64") ?? ""}</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='${disk}'/><target dev='hda' bus='ide'/><shareable/>
    </disk>
    <controller type='usb' model='none'/><memballoon model='none'/>
  </devices>
</domain>
`;

async function human(node: LibvirtNode, line: string): Promise<string> {
  return (await node.virsh("qemu-monitor-command", "tiny", "--hmp", line)).text;
}

/** Main memory but for the adapter's window, which changes. */
async function memory(node: LibvirtNode): Promise<Buffer> {
  const file = join(work, "pmemsave");
  await human(node, `pmemsave 0 ${MEMORY} "${file}"`);
  const bytes = readFileSync(file).fill(0, 0xa0000, 0x100000);
  rmSync(file);
  return bytes;
}

/** The relay's arguments, and what virsh is told beside. */
interface Way {
  what: string;
  relay: string[];
  virsh: string[];
  /** Through unix sockets. */
  unix?: boolean;
}

const PARALLEL = ["--parallel", "--parallel-connections"];
const pki = join(work, "pki");
const TLS = ["--listen-tls", pki, "--connect-tls", pki];
const WAYS: readonly Way[] = [
  { what: "as it is, recorded", relay: ["--out", join(work, "recorded")], virsh: [] },
  {
    what: "TLS, 3 channels whose pages are changed",
    relay: [...TLS, "--multifd", "none", "--channels", "3"],
    virsh: ["--tls", "--tls-destination", "localhost", ...PARALLEL, "3"],
  },
  { what: "postcopy, over unix sockets", relay: [], virsh: ["--postcopy", "--postcopy-after-precopy"], unix: true },
];

test(
  "two libvirts with a relay between them",
  { timeout: 240_000, ...(reason === undefined ? {} : { skip: reason }) },
  async (t) => {
    writePki(
      pki,
      makeAuthority("Lab CA"),
      { name: "node", hosts: ["localhost"] },
      { name: "node", hosts: ["localhost"] },
    );
    const image = Buffer.alloc(1 << 20);
    image.set(fillGuest([{ start: 0x100000, end: 0x200000 }]));
    writeFileSync(disk, image);
    writeFileSync(join(work, "domain.xml"), domain);
    const nodes: LibvirtNode[] = [];
    try {
      for (const k of [1, 2]) {
        const uuid = `${k}1111111-2222-3333-4444-555555555555`;
        nodes.push(await LibvirtNode.start(join(work, `node${k}`), uuid, pki));
      }
      let [from, to] = nodes as [LibvirtNode, LibvirtNode];
      t.equal((await from.virsh("create", join(work, "domain.xml"))).code, 0, "a guest on the first");
      const ready = `0x${readyMark.toString(16).padStart(8, "0")}`;
      for (let k = 0; k < 100 && !(await human(from, `xp /1xw 0x${readyAddress.toString(16)}`)).includes(ready); k++);
      for (const { what, relay, virsh, unix = false } of WAYS) {
        const before = await memory(from);
        const port = await freePort();
        const uris = unix
          ? [`unix:${from.sockets}/mig.sock`, `unix:${to.sockets}/mig.sock`]
          : [`tcp:127.0.0.2:${port}`, `tcp:127.0.0.1:${port}`];
        const place = unix ? `unix://${SOCKETS}/mig.sock` : `tcp://127.0.0.2:${port}`;
        const child = spawn(process.execPath, [PROGRAM, "relay", ...uris, ...relay], {
          stdio: ["ignore", "pipe", "pipe"],
        });
        const ended = once(child, "close");
        let said = "";
        for (const pipe of [child.stdout, child.stderr]) pipe.on("data", (some: Buffer) => (said += some.toString()));
        await once(child.stderr, "data");
        const listen = unix ? [] : ["--listen-address", "127.0.0.1"];
        const migrated = await from.virsh(
          "migrate",
          "--live",
          "--unsafe",
          "tiny",
          to.uri,
          "--migrateuri",
          place,
          ...listen,
          ...virsh,
        );
        if (migrated.code !== 0) child.kill();
        const [code] = (await ended) as [number | null];
        t.deepEqual([migrated.code, code], [0, 0], `${what}: ${migrated.text} ${said}`);
        t.match((await to.virsh("domstate", "tiny")).text, /^running/u, "the guest goes on there");
        t.equal((await from.virsh("list", "--name")).text, "", "and no longer here");
        t.ok(before.equals(await memory(to)), "with its memory");
        [from, to] = [to, from];
      }
    } finally {
      for (const node of nodes) node.close();
    }
    t.equal((await qevm(["verify", join(work, "recorded")])).code, 0, "the recording holds a whole stream");
  },
);

/** A real libvirt saves a guest, qevm writes the image again with another XML and compression, and libvirt restores it. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test from "tape";
import { readyAddress, readyMark } from "../tools/guest/listing.js";
import { fillGuest } from "../tools/guest/patterns.js";
import { qevm } from "./support/program.js";
import { noLibvirt, notOffered, pathOf, Virsh } from "./support/virsh.js";
import { flatDocument } from "./support/document.js";

const work = mkdtempSync(join(tmpdir(), "qevm-restore-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));
const root = join(work, "libvirt");
const reason = noLibvirt(root);
const skip = reason === undefined ? {} : { skip: reason };

/** The formats for which libvirt, and qevm when it writes, run a program of that name. */
const PROGRAMS = new Set(["bzip2", "xz", "lzop", "zstd"]);
const MEMORY = 16 << 20;
/** What `pmemsave` and `extract` agree about whatever the adapter in between does. */
const RANGES: readonly (readonly [number, number])[] = [
  [0, 0xa0000],
  [0x100000, MEMORY],
];
const disk = join(work, "boot.img");
const moved = join(work, "moved.img");
const domain = `<domain type='qemu'>
  <name>tiny</name>
  <memory unit='MiB'>16</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/></features>
  <devices>
    <emulator>${pathOf("qemu-system-x86_64") ?? ""}</emulator>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='${disk}'/><target dev='hda' bus='ide'/></disk>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
  </devices>
</domain>
`;

/** What is known of a guest before it was saved. */
interface Truth {
  memory: Buffer[];
  registers: string;
  state: string;
}

async function human(virsh: Virsh, name: string, line: string): Promise<string> {
  return await virsh.run(`qemu-monitor-command ${name} --hmp '${line}'`);
}

async function truth(virsh: Virsh, name: string): Promise<Truth> {
  const memory: Buffer[] = [];
  const file = join(work, "pmemsave");
  for (const [start, end] of RANGES) {
    await human(virsh, name, `pmemsave ${start} ${end - start} "${file}"`);
    memory.push(readFileSync(file));
    rmSync(file);
  }
  return {
    memory,
    registers: (await human(virsh, name, "info registers")).trim(),
    state: (await virsh.run(`domstate ${name}`)).trim(),
  };
}

/** A guest with patterns in its memory that has halted. */
async function boot(virsh: Virsh): Promise<void> {
  const image = Buffer.alloc(1 << 20);
  image.set(
    fillGuest([
      { start: 0x100000, end: 0x200000 },
      { start: 0x600000, end: 0x620000 },
    ]),
  );
  writeFileSync(disk, image);
  copyFileSync(disk, moved);
  const xml = join(work, "domain.xml");
  writeFileSync(xml, domain);
  await virsh.run(`create ${xml}`);
  const ready = new RegExp(`0x${readyMark.toString(16)}`, "u");
  const until = Date.now() + 60_000;
  while (!ready.test(await human(virsh, "tiny", `xp /1xw ${readyAddress}`))) {
    if (Date.now() > until) throw new Error("the guest does not come up");
    await sleep(50);
  }
}

function sameGuest(t: test.Test, now: Truth, before: Truth): void {
  RANGES.forEach(([start], k) => {
    t.ok(before.memory[k]!.equals(now.memory[k]!), `memory from 0x${start.toString(16)}, by pmemsave`);
  });
  t.equal(now.registers, before.registers, "registers");
  t.equal(now.state, before.state, "running or paused as before");
}

async function run(t: test.Test, args: readonly string[]): Promise<string> {
  const ended = await qevm(args);
  t.equal(ended.code, 0, `${args[0]} ${ended.stderr}`);
  return ended.stdout;
}

/** Every command reads the image, and finds in it what `before` tells. */
async function checkImage(t: test.Test, image: string, format: string, before: Truth): Promise<string> {
  const { containers } = flatDocument(await run(t, ["inspect", image, "--json"])) as {
    containers: { kind: string; format: string; xml: string }[];
  };
  const [libvirt] = containers;
  t.equal(libvirt?.kind, "libvirt");
  t.equal(libvirt?.format, format);
  await run(t, ["verify", image]);
  const raw = join(work, "raw");
  await run(t, ["extract", image, "--format", "raw", "--out", raw]);
  const memory = readFileSync(raw);
  rmSync(raw);
  RANGES.forEach(([start, end], k) => {
    t.ok(before.memory[k]!.equals(memory.subarray(start, end)), `extracted memory from 0x${start.toString(16)}`);
  });
  return libvirt?.xml ?? "";
}

function edited(xml: string): string {
  return xml
    .replace("<name>tiny</name>", "<name>tiny-again</name>\n  <title>größer</title>")
    .replace("<on_crash>destroy</on_crash>", "<on_crash>preserve</on_crash>")
    .replace(disk, moved);
}

/** libvirt restores the image as the domain tiny-again with the edited XML in force. */
async function restore(t: test.Test, virsh: Virsh, image: string, before: Truth): Promise<void> {
  await virsh.run(`restore ${image}`);
  const xml = await virsh.run("dumpxml tiny-again");
  t.match(xml, /<title>größer<\/title>/u, "the edited title");
  t.match(xml, /<on_crash>preserve<\/on_crash>/u, "the edited action");
  t.ok(xml.includes(`<source file='${moved}'`), "the disk's new place");
  t.ok((await human(virsh, "tiny-again", "info block")).includes(moved), "QEMU has that disk open");
  sameGuest(t, await truth(virsh, "tiny-again"), before);
}

/** What libvirt saves in a format, and how qevm writes it again: the format, then other options. */
const CASES: readonly { format: string; suspend: boolean; again: readonly (readonly [string, ...string[]])[] }[] = [
  { format: "raw", suspend: false, again: [["gzip"], ["raw", "--ram", "normal"]] },
  { format: "gzip", suspend: true, again: [["bzip2"], ["gzip"]] },
  { format: "bzip2", suspend: true, again: [["xz", "--drop-vmdescription"]] },
  { format: "xz", suspend: false, again: [["lzop"]] },
  { format: "lzop", suspend: true, again: [["raw"]] },
  { format: "zstd", suspend: true, again: [["raw"], ["zstd"]] },
  { format: "sparse", suspend: true, again: [["sparse"], ["raw"]] },
];

for (const { format, suspend, again } of CASES) {
  const missing = reason ?? notOffered(format);
  const why = missing === undefined ? {} : { skip: missing };
  test(`libvirt restores its ${format} image that qevm wrote again`, why, async (t) => {
    const virsh = Virsh.start(root, format);
    try {
      await boot(virsh);
      if (suspend) await virsh.run("suspend tiny");
      const before = await truth(virsh, "tiny");
      t.equal(before.state, suspend ? "paused" : "running");
      const image = join(work, `save.${format}`);
      await virsh.run(`save tiny ${image}`);
      const xml = await checkImage(t, image, format, before);
      const xmlFile = join(work, "edited.xml");
      writeFileSync(xmlFile, edited(xml));
      for (const [to, ...options] of again) {
        if (PROGRAMS.has(to) && pathOf(to) === undefined) {
          t.skip(`no ${to} here: ${format} is not written as ${to}`);
          continue;
        }
        t.comment(`--compression ${[to, ...options].join(" ")}`);
        const out = join(work, "again");
        const how = ["--to", "libvirt", "--xml", xmlFile, "--compression", to, ...options];
        await run(t, ["convert", image, "--out", out, ...how]);
        await restore(t, virsh, out, before);
        await virsh.run("destroy tiny-again");
      }
    } finally {
      await virsh.close();
    }
  });
}

test("libvirt restores an image whose XML took more room, and a bare stream in a new image", skip, async (t) => {
  const virsh = Virsh.start(root, "raw");
  try {
    await boot(virsh);
    await virsh.run("suspend tiny");
    const before = await truth(virsh, "tiny");
    const image = join(work, "save");
    await virsh.run(`save tiny ${image}`);
    const xml = edited(await checkImage(t, image, "raw", before));
    const xmlFile = join(work, "edited.xml");
    const again = join(work, "again");
    writeFileSync(xmlFile, xml.replace("</domain>", `<!--${"x".repeat(200_000)}--></domain>`));
    await run(t, ["convert", image, "--out", again, "--to", "libvirt", "--xml", xmlFile]);
    await restore(t, virsh, again, before);
    await virsh.run("destroy tiny-again");
    const bare = join(work, "bare");
    await run(t, ["convert", image, "--out", bare]);
    // libvirt looks for the XML's end itself when it puts another in its place.
    writeFileSync(xmlFile, xml);
    await run(t, ["convert", bare, "--out", again, "--to", "libvirt", "--xml", xmlFile]);
    writeFileSync(xmlFile, xml.replace("größer", "klein"));
    await virsh.run(`save-image-define ${again} ${xmlFile}`);
    t.match(await checkImage(t, again, "raw", before), /<title>klein</u, "libvirt puts an XML into our image");
    writeFileSync(xmlFile, xml);
    await virsh.run(`save-image-define ${again} ${xmlFile}`);
    await restore(t, virsh, again, before);
  } finally {
    await virsh.close();
  }
});

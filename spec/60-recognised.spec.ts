/** What is not a stream is called by its name, with what to do. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliCompressSync } from "node:zlib";
import test from "tape";
import { MemorySource } from "../src/bytes/index.js";
import { recognise, StreamReader } from "../src/codec/stream/index.js";
import { corpusEntry, listCorpus, projectRoot } from "../tools/corpus.js";
import { refusal } from "./support/bytes.js";
import { image } from "./support/container-bytes.js";
import { qevm } from "./support/program.js";

const work = mkdtempSync(join(tmpdir(), "qevm-recognised-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));
const stream = corpusEntry("machine-none-tiny").open();
const bare = join(work, "vm.mig");
writeFileSync(bare, stream);

async function told(t: test.Test, path: string): Promise<string> {
  const run = await qevm(["inspect", path]);
  t.equal(run.code, 1);
  return run.stderr;
}

/** By the real programs: how a file is made, and what is said of it. */
const PACKED: readonly (readonly [program: string, args: readonly string[], said: RegExp])[] = [
  ["lzip", ["-k", bare], /an lzip file; give it as lzip -dc FILE \| qevm COMMAND -/u],
  ["xz", ["-k", "--format=lzma", bare], /an lzma file; give it as xz --format=lzma -dc FILE/u],
  ["zip", ["-q", `${bare}.zip`, bare], /a zip archive; give it as unzip -p FILE/u],
  ["7z", ["a", "-bd", `${bare}.7z`, bare], /a 7z archive; give it as 7z x -so FILE/u],
  ["brotli", ["-k", bare], /a brotli file; give it as brotli -dc FILE/u],
];
const MADE = { lzip: ".lz", xz: ".lzma", zip: ".zip", "7z": ".7z", brotli: ".br" } as const;

for (const [program, args, said] of PACKED) {
  const there = spawnSync(program, ["--help"]).error === undefined;
  test(`a file of ${program} is called by its name`, there ? {} : { skip: `no ${program} here` }, async (t) => {
    const made = spawnSync(program, args, { encoding: "utf8" });
    t.equal(made.status, 0, made.stderr);
    t.match(await told(t, bare + MADE[program as keyof typeof MADE]), said);
    t.end();
  });
}

test("brotli has no magic: it is one where a stream comes out", async (t) => {
  const path = join(work, "no-name");
  writeFileSync(path, brotliCompressSync(corpusEntry("pc-fill").open()));
  t.match(await told(t, path), /a brotli file/u, "by any name");
  writeFileSync(path, brotliCompressSync(Buffer.from("text")));
  t.doesNotMatch(await told(t, path), /brotli/u);
  t.end();
});

test("a lone channel is told from the main one", async (t) => {
  const channels: [string, RegExp][] = [
    ["recording-7.2-none/multifd-0.bin.gz", /a multifd migration/u],
    ["recording-10.0-zstd/multifd-1.bin.gz", /a multifd migration/u],
    ["postcopy-7.2-preempt/preempt.bin.gz", /urgent pages of a postcopy migration/u],
    ["postcopy-7.2-preempt/return-path.bin.gz", /a return path/u],
  ];
  for (const [file, said] of channels) {
    const text = await told(t, join(projectRoot(), "corpus", file));
    t.match(text, said, file);
    t.match(text, /put the files of all channels into one folder/u);
  }
  t.end();
});

/** The beginning of a file: text at offsets, one character a byte. */
function head(...parts: readonly (readonly [at: number, text: string])[]): Buffer {
  const bytes = Buffer.alloc(4096);
  for (const [at, text] of parts) bytes.write(text, at, "latin1");
  return bytes;
}

const HEADS: readonly (readonly [what: string, bytes: Buffer])[] = [
  ["an ELF core", head([0, "\x7fELF\x02\x01\x01"], [16, "\x04\0"])],
  ["an ELF file", head([0, "\x7fELF\x02\x01\x01"], [16, "\x03\0"])],
  ["a kdump dump", head([0, "KDUMP   "])],
  ["a kdump dump", head([0, "makedumpfile\0"])],
  ["a LiME memory image", head([0, "EMiL\x01\0\0\0"])],
  ["an AVML memory image", head([0, "AVML\x02\0\0\0"])],
  ["a Windows crash dump", head([0, "PAGEDU64"])],
  ["a VMware suspend or snapshot file (.vmss, .vmsn)", head([0, "\xd2\xbe\xd2\xbe"])],
  ["a VirtualBox saved state", head([0, "\x7fVirtualBox SavedState V2.0\n"])],
  ["a Hyper-V saved state (.vmrs)", head([0, "\x14\x20\x28\x01"])],
  ["a Xen save file (xm)", head([0, "LinuxGuestRecord"])],
  ["a Xen save file (libxc)", head([0, "\xff\xff\xff\xff\xff\xff\xff\xffXENF"])],
  ["a Firecracker snapshot", head([0, "\0\0\x64\x86\x84\x19\x10\x07"])],
  ["JSON", head([0, '{\n  "cpu_manager": {}'])],
  ["a raw disk with a GPT", head([510, "\x55\xaa"], [512, "EFI PART"])],
  ["a raw disk with a boot sector", head([0, "\xeb\x63\x90"], [510, "\x55\xaa"])],
  ["a VMDK image", head([0, "KDMV\x01\0\0\0"])],
  ["a VHDX image", head([0, "vhdxfile"])],
  ["a tar archive", head([0, "vm.mig"], [257, "ustar\x0000"])],
  ["a domain XML of libvirt", head([0, "<domain type='kvm'>"])],
];

test("memory images, disks and other monitors' files are called by their names", async (t) => {
  for (const [what, bytes] of HEADS) {
    const known = recognise(bytes);
    t.equal(known?.what, what);
    t.ok((known?.advice.length ?? 0) > 10, known?.advice);
    const error = await refusal(async () => {
      for await (const _ of new StreamReader(new MemorySource(bytes))) break;
    });
    t.equal(error?.code, "bad-magic");
    t.ok(error?.what.includes(`not a QEMU migration stream: ${what}; ${known?.advice}`), error?.what);
  }
  const path = join(work, "disk");
  writeFileSync(path, Buffer.concat([head([510, "\x55\xaa"]), Buffer.alloc(2 << 20), stream]));
  t.match(await told(t, path), /a raw disk with a boot sector.*a stream begins at byte 0x201000/u, "and searched");
  t.end();
});

test("containers that the library does not take off outside Node are named", async (t) => {
  for (const format of ["raw", "sparse"]) {
    const error = await refusal(async () => {
      for await (const _ of new StreamReader(new MemorySource(image(format)))) break;
    });
    t.match(error?.what ?? "", /a libvirt save image; openStream takes this off in Node only: `qevm convert/u);
  }
  for (const [bytes, what] of [
    [Buffer.from("QFI\xfb\0\0\0\x03", "latin1"), "a qcow2 image"],
    [readFileSync(join(corpusEntry("machine-none").folder, "stream.gz")), "a gzip file"],
  ] as const) {
    t.equal(recognise(bytes)?.what, what);
  }
  t.end();
});

test("no stream is taken for anything else", (t) => {
  const taken = listCorpus().filter((entry) => recognise(entry.open().subarray(0, 4096)) !== undefined);
  t.deepEqual(
    taken.map(({ name }) => name),
    [],
  );
  t.end();
});

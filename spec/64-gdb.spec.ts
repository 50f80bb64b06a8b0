/** `qevm gdb`: a saved guest in a debugger. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import test from "tape";
import { MemorySink, MemorySource } from "../src/bytes/index.js";
import { writeChanges } from "../src/rewrite/generate/changes.js";
import type { Refused } from "../src/io/transport/connection.js";
import { serveGdb, type SavedGuest } from "../src/serve/gdb/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { findQemu } from "../tools/qemu/find.js";
import { makeWorkFolder, QemuProcess } from "../tools/qemu/process.js";
import { framed, GdbClient } from "../tools/clients/gdb.js";
import { PROGRAM, qevm } from "./support/program.js";
import { dial } from "./support/receiving.js";
import { GDB, savedGuest, serving, work } from "./support/gdb-serving.js";
import { flatDocument } from "./support/document.js";

/** A corpus stream as a guest, and its bytes. */
async function corpusGuest(name: string): Promise<{ bytes: Uint8Array; guest: SavedGuest }> {
  const bytes = corpusEntry(name).open();
  return { bytes, guest: await savedGuest(bytes) };
}

test("what is written is kept, and saved as a stream that QEMU loads", async (t) => {
  const qemu = findQemu("7.2");
  const { guest, bytes } = await corpusGuest("live");
  const { capture } = corpusEntry("live");
  await serving(guest, async (path) => {
    const client = await GdbClient.connect(path);
    await client.text("qSupported:xmlRegisters=i386");
    const own = await client.numbers();
    const number = (name: string): string => own.get(name)!.toString(16);
    t.equal(await client.text(`P${number("rbx")}=1122334400000000`), "OK", "a register");
    t.equal(await client.text(`p${number("rbx")}`), "1122334400000000", "reads as written");
    t.equal(await client.text(`P${number("cr8")}=0100000000000000`), "E14", "one that has no place in the stream");
    t.equal(await client.text(`P${number("rbx")}=11`), "E14", "a wrong length");
    const all = await client.text("g");
    t.equal(await client.text(`G99${all.slice(2)}`), "OK", "all registers");
    t.equal(await client.text(`p${number("rax")}`), `99${all.slice(2, 16)}`);
    t.equal(await client.text("G99"), "E22", "registers that are too few");
    t.equal(await client.text("M7c00,4:deadbeef"), "OK", "memory");
    const binary = Buffer.concat([
      Buffer.from("X1ffffe,4:"),
      Buffer.from([0x7d, 0x03, 0x7d, 0x04, 0x7d, 0x0a, 0x7d, 0x5d]),
    ]);
    t.equal((await client.ask(binary))?.toString(), "OK", "escaped bytes over two pages");
    t.equal(await client.text("m1ffffe,4"), "23242a7d");
    t.equal(await client.text("M1,2:aa"), "E22", "a length that is not true");
    t.equal(await client.text("M7fffff,2:aabb"), "E14", "past the end of memory");
    t.equal(await client.text("m7fffff,1"), "00", "writes nothing");
    t.equal(await client.text("M0,:"), "E22", "nonsense");
  });
  const sink = new MemorySink();
  await writeChanges(new MemorySource(bytes), sink, guest.changes);
  const again = await savedGuest(sink.bytes());
  const [cpu] = again.cpus;
  t.deepEqual([...(await again.read(undefined, 0x7bfen, 8))], [...(await guest.read(undefined, 0x7bfen, 8))]);
  t.deepEqual([...(await again.read(undefined, 0x1ffffen, 4))], [0x23, 0x24, 0x2a, 0x7d]);
  const rbx = [...again.registers.registers.values()].find(({ name }) => name === "rbx")!;
  t.equal(again.register(cpu!, rbx).toString("hex"), "1122334400000000", "the register is in the new stream");
  if (qemu === undefined) {
    t.comment("not loaded: no QEMU 7.2 here");
    t.end();
    return;
  }
  const stub = "-chardev socket,id=stub,path=$DIR/gdb.sock,server=on,wait=off -gdb chardev:stub -incoming defer -S";
  const folder = makeWorkFolder(qemu);
  for (const { name, length } of capture.files) writeFileSync(join(folder, name), Buffer.alloc(length));
  const args = capture.command.slice(capture.command.indexOf("-machine"));
  const vm = await QemuProcess.start(qemu, [...args, ...stub.split(" ")], folder);
  try {
    writeFileSync(vm.file("changed"), sink.bytes());
    await vm.execute("migrate-incoming", { uri: "exec:cat $DIR/changed" });
    for (let status = ""; status !== "completed"; await sleep(20)) {
      ({ status = "" } = (await vm.execute("query-migrate")) as { status?: string });
      if (status === "failed") throw new Error(vm.stderr);
    }
    const real = await GdbClient.connect(vm.file("gdb.sock"));
    const theirs = await real.numbers();
    t.equal(await real.text(`p${theirs.get("rbx")!.toString(16)}`), "1122334400000000", "QEMU has the register");
    t.equal(await real.text("m7c00,4"), "deadbeef", "and the memory");
    t.equal(await real.text("m1ffffe,4"), "23242a7d");
  } finally {
    await vm.close();
  }
  t.end();
});

test("a mapped-ram file gets its pages in place", async (t) => {
  const bytes = gunzipSync(readFileSync(new URL("../../spec/support/mapped-ram-10.0.gz", import.meta.url)));
  const guest = await savedGuest(bytes);
  const zero = 0x50_0000n;
  await guest.write(undefined, 0x7c00n, Buffer.from("changed"));
  await guest.write(undefined, zero, Buffer.from("changed"));
  const sink = new MemorySink();
  await writeChanges(new MemorySource(bytes), sink, guest.changes);
  t.equal(sink.bytes().length, bytes.length, "as long as before");
  const again = await savedGuest(sink.bytes());
  for (const address of [0x7c00n, zero]) {
    t.equal(Buffer.from(await again.read(undefined, address, 7)).toString(), "changed", `0x${address.toString(16)}`);
  }
  t.end();
});

test("queries, and a guest that does not run", async (t) => {
  const { guest } = await corpusGuest("pc-fill");
  await serving(guest, async (path) => {
    const client = await GdbClient.connect(path);
    t.match(await client.text("qSupported:xmlRegisters=i386"), /^PacketSize=4000;qXfer:features:read\+;/u);
    t.equal(await client.text("?"), "T05thread:01;");
    t.equal(await client.text("qfThreadInfo"), "m01", "threads without process numbers");
    t.equal(await client.text("qsThreadInfo"), "l");
    t.equal(await client.text("qC"), "QC01");
    t.equal(Buffer.from(await client.text("qThreadExtraInfo,1"), "hex").toString(), "CPU#0 [saved]");
    t.equal(await client.text("T1"), "OK");
    for (const thread of ["T2", "Hg5", "Hgp2.1", "Hgx", "qThreadExtraInfo,9"])
      t.equal(await client.text(thread), "E22", thread);
    for (const any of ["Hg0", "Hc-1", "Hg-1"]) t.equal(await client.text(any), "OK", any);
    t.equal(await client.text("qAttached"), "1");
    for (const unknown of ["vMustReplyEmpty", "Z0,7c00,1", "qOffsets", "!", "", "qTStatus", "jThreadsInfo", "bs"]) {
      t.equal(await client.text(unknown), "", `${unknown}: not supported`);
    }
    t.equal(await client.text("vCont?"), "vCont;c;C;s;S");
    for (const go of ["c", "vCont;c:-1", "s", "vCont;s:1;c"]) {
      const told = await client.text(go);
      t.equal(Buffer.from(told.slice(1), "hex").toString(), "this guest is saved: it does not run\n", go);
      t.equal((await client.packet())?.toString(), "T05thread:01;", "and it has stopped");
    }
    t.equal(await client.text("qXfer:features:read:other.xml:0,10"), "E00");
    t.equal(await client.text("qXfer:features:read:target.xml:fffff,10"), "E22");
    t.equal(await client.text("p999"), "E22");
    t.equal(await client.text("m7c00,0"), "");
    t.equal(await client.text("m7c00,2001"), "E22", "more than a packet");
    t.equal(await client.text("mffffffffffffffff,10"), "E14", "past the last address");
    t.equal(await client.text("m10000000000000000,1"), "E22", "more than 64 bits");
    t.equal((await client.ask("x7c00,2"))?.subarray(0, 1).toString(), "b", "binary memory, as gdb 16 takes it");
    t.equal(await client.text("x0,0"), "OK");
    t.equal((await client.ask("x7c00,2"))?.length, 2, "and as lldb does");
    t.match(await client.monitor("help"), /monitor save FILE/u);
    t.match(await client.monitor("xp 0x7c00 16"), /^00007c00: (?:[0-9a-f]{4} ){8} .{16}\n/u);
    t.match(await client.monitor("devices cpu"), /^cpu\/0\n(?:.*\n)* {2}env\.eip = "0x/u);
    t.match(await client.monitor("layout"), /pc\.ram from 0x0\n/u);
    t.match(await client.monitor("translate 0x7c00"), /physical 0x7c00\n/u);
    t.match(await client.monitor("xp 0xffffffffffff"), /no memory/u);
    t.match(await client.monitor("save /tmp/never"), /may not save/u);
    t.match(await client.monitor("\u001b[2J"), /^unknown command/u);
    t.equal(await client.text("qRcmd,1"), "E22");
    t.equal(await client.text("QStartNoAckMode"), "OK");
    client.socket.write("+");
    client.socket.write("$m7c00,1#00");
    t.equal((await client.packet())?.length, 2, "sums are not checked then");
    t.equal(await client.text("D"), "OK");
    await client.closed();
  });
  t.end();
});

test("32-bit CPUs have registers and physical memory", async (t) => {
  for (const name of ["arm-integratorcp", "arm-microbit"]) {
    const { guest } = await corpusGuest(name);
    const [cpu] = guest.cpus;
    t.equal(guest.registers.architecture, "arm", name);
    const pc = [...guest.registers.registers.values()].find((one) => one.name === "pc")!;
    const fields = cpu!.device.fields["env.regs"] as number[];
    t.equal(guest.register(cpu!, pc).readUInt32LE(), fields[15], "pc");
    await serving(guest, async (path) => {
      const client = await GdbClient.connect(path);
      t.equal(await client.text("m0,4"), "E14", "no page tables are known");
      await client.text("Qqemu.PhyMemMode:1");
      t.equal((await client.text("m0,4")).length, 8, "physical memory");
    });
  }
  t.end();
});

test("hostile debuggers do not stop others", async (t) => {
  const { guest } = await corpusGuest("pc-fill");
  await serving(
    guest,
    async (path) => {
      const check = async (what: string): Promise<void> => {
        const client = await GdbClient.connect(path);
        t.equal((await client.text("m7c00,4")).length, 8, `${what}: another debugger is served`);
        client.socket.destroy();
      };
      const sums = await GdbClient.connect(path);
      sums.socket.write("$m7c00,4#00");
      t.equal(await sums.byte(), 0x2d, "a wrong sum is refused");
      sums.socket.write("$m7c00$?#3f");
      t.equal(await sums.byte(), 0x2b, "a packet that begins anew is taken");
      t.equal((await sums.packet())?.toString(), "T05thread:01;");
      sums.socket.write("-".repeat(100));
      await sums.closed();
      await check("a hundred refusals");
      for (const flood of ["$", `$${"m".repeat(1 << 20)}`, "$m7c0", "$".repeat(1 << 17)]) {
        const client = await GdbClient.connect(path);
        client.socket.write(flood);
        await client.closed();
        await check(`${flood.length} bytes of ${flood.slice(0, 4)}`);
      }
      const noise = await GdbClient.connect(path);
      noise.socket.write(Buffer.alloc(1 << 20, 0x55));
      t.equal((await noise.text("?")).slice(0, 3), "T05", "bytes between packets are passed over");
      noise.socket.destroy();
      const greedy = await GdbClient.connect(path);
      greedy.socket.pause();
      for (let k = 0; k < 2000; k++) greedy.socket.write(framed("m0,1ff0"));
      await check("a client that takes nothing");
      await sleep(400);
      greedy.socket.resume();
      await greedy.closed();
      const many = await Promise.all(Array.from({ length: 20 }, () => GdbClient.connect(path)));
      await sleep(50);
      for (const one of many) one.socket.destroy();
      await sleep(50);
      await check("many clients");
    },
    { stalled: 300 },
  );
  t.end();
});

test("idle debuggers make room, and only allowed ones are served", async (t) => {
  const { guest } = await corpusGuest("pc-fill");
  const tools = { devices: async () => await Promise.resolve([]), save: undefined };
  const refused: Refused[] = [];
  const whys = (): string[] => refused.map(({ why }) => why);
  const run = async (allow: readonly string[], use: (uri: string) => Promise<void>): Promise<void> => {
    let used: Promise<void> | undefined;
    const over = new AbortController();
    const onListening = (uri: string): void => {
      used = use(uri).finally(() => over.abort());
    };
    const { signal } = over;
    const how = { allow, signal, onListening, begin: 1000, onRefused: (one: Refused) => void refused.push(one) };
    await serveGdb("tcp::0", guest, tools, how);
    await used;
  };
  const use = async (uri: string): Promise<void> => {
    const idle = await Promise.all(Array.from({ length: 4 }, async () => await dial(uri)));
    (await dial(uri)).destroy();
    await sleep(550);
    const client = await GdbClient.connect(Number(/\d+$/u.exec(uri)![0]));
    t.equal((await client.text("m7c00,4")).length, 8, "a debugger is served beside 4 idle connections");
    t.deepEqual(whys(), ["more than 4 clients", "more than 4 clients"], "the fifth at once, then the oldest");
    await once(idle[3]!.resume(), "close");
    t.equal(whys().at(-1), "it said nothing that a client says");
    t.equal((await client.text("m7c00,4")).length, 8, "the debugger stays");
    for (const socket of [client.socket, ...idle]) socket.destroy();
  };
  await run(["127.0.0.0/8"], use);
  await run(["192.0.2.1", "2001:db8::/32"], async (uri) => {
    const client = await GdbClient.connect(Number(/\d+$/u.exec(uri)![0]));
    await client.closed();
    t.equal(whys().at(-1), "its address is not one of --allow");
  });
  t.match(String(await run(["::1/129"], use).catch((error: unknown) => error)), /no such address of a peer/u);
  t.end();
});

const needsGdb = GDB === undefined ? { skip: "gdb is not installed" } : {};

test("gdb itself, started by qevm gdb", needsGdb, async (t) => {
  const file = join(work, "gdb.mig");
  writeFileSync(file, corpusEntry("live").open());
  const saved = join(work, "saved.mig");
  const commands = ["info registers rip cr0", "info threads", "x/4xb 0x7c00", "set var *(char*)0x7c00 = 7"];
  const words = [...commands, `monitor save ${saved}`, "continue"].flatMap((line) => ["-ex", line]);
  // gdb writes to the standard output that the program was started with.
  const run = await qevm(["gdb", file, "--", "-nx", "-batch", ...words], { fresh: true });
  t.equal(run.code, 0, run.stderr);
  t.match(run.stdout, /^rip +0x7db9 /mu);
  t.match(run.stdout, /^\* 1 +.*\(CPU#0 \[saved\]\) 0x0*7db9 /mu);
  t.match(run.stdout + run.stderr, /this guest is saved/u);
  const again = await savedGuest(readFileSync(saved));
  t.deepEqual([...(await again.read(undefined, 0x7c00n, 1))], [7], "the new stream has what gdb wrote");
  t.equal((await qevm(["gdb", file, "--gdb", "/nothing", "--", "-batch"])).code, 2, "a gdb that is not there");
  t.end();
});

test("qevm gdb as a server", async (t) => {
  const file = join(work, "server.mig");
  writeFileSync(file, corpusEntry("live").open());
  const child = spawn(process.execPath, [PROGRAM, "gdb", file, "--listen", "tcp:127.0.0.1:0", "--once", "--json"]);
  let out = "";
  child.stdout.on("data", (text: Buffer) => (out += String(text)));
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  while (!out.includes("\n")) await sleep(20);
  const { target } = flatDocument(out) as { target: string };
  const client = await GdbClient.connect(Number(target.split(":")[1]));
  t.equal(await client.text("?"), "T05thread:01;");
  t.match(await client.monitor(`save ${join(work, "never")}`), /may not save: see --allow-save/u);
  t.match(await client.monitor("devices timer"), /^timer\/0\n/u, "devices are read again");
  client.socket.destroy();
  t.equal(await ended, 0, "--once ends it");
  t.notOk(existsSync(join(work, "never")), "a client of a port cannot write files");
  const machineNone = join(work, "none.mig");
  writeFileSync(machineNone, corpusEntry("machine-none").open());
  for (const [args, code, message] of [
    [["gdb", file, "--listen", "fd:3"], 2, /tcp:HOST:PORT or unix:PATH/u],
    [["gdb", file, "--gdb", "x"], 2, /--gdb goes with --/u],
    [["gdb", machineNone], 2, /no (?:CPU|main memory)|main memory/u],
  ] as const) {
    const run = await qevm(args);
    t.equal(run.code, code, args.join(" "));
    t.match(run.stderr, message);
  }
  t.end();
});

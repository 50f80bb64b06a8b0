import { readFileSync } from "node:fs";
import { join } from "node:path";
import test, { type Test } from "tape";
import { direct } from "../tools/capture/entries/parts.js";
import { corpusEntry } from "../tools/corpus.js";
import { compare, runGuest } from "../tools/destination/index.js";
import type { QemuProcess } from "../tools/qemu/process.js";
import { still } from "../tools/recording/machines.js";
import { migrateTo } from "../tools/recording/record.js";
import { qemuOf } from "./support/loads.js";
import { amongStrangers, sendLookAlikes } from "./support/look-alikes.js";
import { qevm } from "./support/program.js";
import { arrived, LIVE, SHORT, switching, through, type Outcome, type Side, type Way } from "./support/relayed.js";
import { flatDocument } from "./support/document.js";

const COMPRESS: Side = { capabilities: ["compress"], parameters: { "compress-level": 1, "compress-threads": 2 } };
const MULTIFD: Side = {
  capabilities: ["multifd", "return-path"],
  parameters: { "multifd-channels": 2, "multifd-compression": "zlib" },
};

const BACK: Side = { capabilities: ["return-path"] };

/** A side with multifd, so many channels and this compression. */
function multifdOf(channels: number, method: string): Side {
  return {
    capabilities: ["multifd", "return-path"],
    parameters: { "multifd-channels": channels, "multifd-compression": method },
  };
}

/** A machine type with marks of its own, which 10.0 and 11.1 have. */
const LATER = { ...LIVE, args: direct("pc-i440fx-10.0") };

const SERIAL = ["-serial", "null"];

/** Its device state is read by the catalogue. */
const UNDESCRIBED = { ...LATER, args: [...direct("pc-i440fx-10.0,suppress-vmdesc=on"), ...SERIAL] };

/** Values that the guest does not touch, and what the destination's monitor then shows. */
const SET = ["--set", "serial:state.scr=0x5a", "--set", "cpu:env.dr[1]=0x1234"];
async function checkSet(t: Test, { loaded: { vm } }: Outcome): Promise<void> {
  t.match(await vm.human("i /b 0x3ff"), /= 0x5a\b/u, "the scratch register of the serial port is the changed one");
  t.match(await vm.human("info registers"), /\bDR1=0*1234\b/u, "and so is the register of the CPU");
}

/** Pages that are changed into, in or out of multifd channels, while the guest writes. */
const CHANGED: readonly [string, string, string, Way][] = [
  ["7.2", "7.2", MULTIFD, multifdOf(3, "none"), ["--multifd", "none", "--channels", "3", "--out", "$DIR/rec"]],
  ["7.2", "7.2", multifdOf(2, "none"), {}, ["--ram", "normal", ...SET], { ...LIVE, args: [...LIVE.args, ...SERIAL] }],
  ["7.2", "7.2", { capabilities: ["xbzrle", "return-path"] }, multifdOf(2, "zlib"), ["--multifd", "zlib"]],
  ["7.2", "10.0", multifdOf(2, "none"), multifdOf(4, "zstd"), ["--multifd", "zstd", "--channels", "4"]],
  ["7.2", "11.1", BACK, multifdOf(4, "zlib"), ["--multifd", "zlib", "--channels", "4"]],
  ["11.1", "7.2", multifdOf(2, "zstd"), multifdOf(3, "none"), ["--multifd", "none", "--channels", "3"]],
  ["10.0", "11.1", multifdOf(2, "zlib"), multifdOf(3, "zstd"), ["--multifd", "zstd", "--channels", "3"], LATER],
  ["11.1", "10.0", multifdOf(4, "zstd"), BACK, ["--ram", "normal"], LATER],
  ["10.0", "11.1", multifdOf(2, "zstd"), multifdOf(2, "zstd"), SET, UNDESCRIBED],
].map(([from, to, source, destination, options, machine]) => [
  `${JSON.stringify(source)} as ${(options as string[]).slice(0, 2).join(" ")}`,
  from as string,
  to as string,
  {
    source: source as Side,
    destination: destination as Side,
    options: options as string[],
    ...(machine === undefined ? {} : { machine: machine as typeof LATER }),
  },
]);

async function disturbed(vm: QemuProcess, uri: string): Promise<void> {
  const recipe = { ...LIVE, capabilities: [], parameters: {}, ...MULTIFD };
  // Every channel has taken part in the end of the first round.
  const isLate = async (): Promise<boolean> => {
    const { ram } = (await vm.execute("query-migrate")) as { ram?: { "dirty-sync-count": number } };
    return (ram?.["dirty-sync-count"] ?? 0) > 1;
  };
  await amongStrangers(uri, corpusEntry("machine-none").open(), () => migrateTo(vm, uri, recipe), isLate);
}

const PASSED: readonly [string, string, string, Way][] = [
  [
    "as it is",
    "7.2",
    "7.2",
    { source: { capabilities: ["return-path"] }, destination: {}, options: ["--out", "$DIR/rec"] },
  ],
  ["one way, as it is", "7.2", "7.2", { source: {}, destination: {}, options: [] }],
  [
    "multifd, as it is, among 1,200 strangers",
    "7.2",
    "7.2",
    { source: MULTIFD, destination: MULTIFD, options: ["--out", "$DIR/rec"], migrate: disturbed },
  ],
  [
    "compressed pages, to a destination without the capability",
    "7.2",
    "7.2",
    {
      source: { ...COMPRESS, capabilities: ["compress", "return-path"] },
      destination: {},
      options: ["--ram", "normal"],
      machine: SHORT,
    },
  ],
  [
    "XBZRLE pages, to a destination that gets plain ones",
    "7.2",
    "7.2",
    {
      source: { capabilities: ["xbzrle", "return-path"] },
      destination: {},
      options: ["--ram", "normal", "--out", "$DIR/rec"],
    },
  ],
  [
    "plain pages, compressed on their way",
    "7.2",
    "7.2",
    {
      source: { capabilities: ["return-path"] },
      destination: { capabilities: ["compress"] },
      options: ["--ram", "zlib"],
      machine: still(),
    },
  ],
  [
    "compressed pages, to a QEMU that knows none",
    "7.2",
    "10.0",
    { source: COMPRESS, destination: {}, options: ["--ram", "normal"], machine: SHORT },
  ],
  [
    "compressed pages, to a QEMU that knows none",
    "5.2",
    "11.1",
    { source: COMPRESS, destination: {}, options: ["--ram", "normal"], machine: still() },
  ],
];

for (const [what, from, to, way] of [...PASSED, ...CHANGED]) {
  test(`${from} migrates through it to ${to}: ${what}`, async (t) => {
    const [source, destination] = [qemuOf(t, from), qemuOf(t, to)];
    if (source === undefined || destination === undefined) return;
    await through(source, destination, way, async (outcome) => {
      if (!(await arrived(t, way, outcome))) return;
      if (CHANGED.some((one) => one[3] === way)) {
        await runGuest(outcome.loaded.vm, 50);
        const { differentBlocks } = await compare(outcome.loaded.vm, outcome.truth!);
        t.ok(differentBlocks.includes("pc.ram"), "the guest goes on and writes");
        if (way.options.includes("--set")) await checkSet(t, outcome);
      }
      if (way.migrate === disturbed) {
        const list = readFileSync(join(outcome.folder, "rec", "recording.json"), "utf8");
        const { refused, refusedMore } = JSON.parse(list) as { refused: unknown[]; refusedMore: number };
        t.ok(refused.length === 100 && refusedMore > 1000, `${100 + refusedMore} connections were refused`);
      }
      const back = way.source.capabilities?.includes("return-path") === true;
      t.match(outcome.ended.stdout, back ? /has loaded everything/u : /cannot confirm/u);
    });
  });
}

for (const leaves of [true, false]) {
  for (const side of [{ capabilities: ["return-path"] }, MULTIFD]) {
    const how = `that ${leaves ? "close" : "stay open"}, before a source with ${side.capabilities?.join()}`;
    test(`look-alikes of a migration ${how}`, async (t) => {
      const qemu = qemuOf(t, "7.2");
      if (qemu === undefined) return;
      const machine = still();
      const migrate = async (vm: QemuProcess, uri: string): Promise<void> => {
        await sendLookAlikes(uri, corpusEntry("machine-none").open(), leaves);
        await migrateTo(vm, uri, { ...machine, capabilities: [], parameters: {}, ...side });
      };
      const way = { source: side, destination: side, options: ["--out", "$DIR/rec"], machine, migrate };
      await through(qemu, qemu, way, async ({ ended, folder, loaded, truth, failure }) => {
        t.equal(ended.code, 0, ended.stderr);
        t.equal(loaded.result.status, "completed", loaded.result.error);
        t.ok(truth !== undefined, `the source completes: ${String(failure)}`);
        const list = readFileSync(join(folder, "rec", "recording.json"), "utf8");
        t.equal((JSON.parse(list) as { refused: unknown[] }).refused.length, 4, "each is noted");
      });
    });
  }
}

test("a migration that switches to postcopy: the destination's requests go back", async (t) => {
  const qemu = qemuOf(t, "7.2");
  if (qemu === undefined) return;
  const both = { capabilities: ["postcopy-ram"] };
  const way = { source: both, destination: both, options: ["--out", "$DIR/rec", "--json"], migrate: switching };
  await through(qemu, qemu, way, async ({ ended, folder, loaded, truth }) => {
    t.equal(ended.code, 0, ended.stderr);
    t.equal(loaded.result.status, "completed", loaded.result.error);
    t.ok(truth !== undefined, "the source says completed");
    const { loaded: said, channels } = flatDocument(ended.stdout) as { loaded: boolean; channels: { role: string }[] };
    t.equal(said, true);
    t.deepEqual(channels.map(({ role }) => role).toSorted(), ["main", "return-path"]);
    const { code, stdout } = await qevm(["inspect", join(folder, "rec"), "--json"]);
    t.equal(code, 0);
    t.ok(stdout.includes("POSTCOPY_RUN"), "it is a postcopy migration");
  });
});

test("device state in a package is changed, and the guest is not lost over a name that is wrong", async (t) => {
  const qemu = qemuOf(t, "11.1");
  if (qemu === undefined) return;
  const both = ["postcopy-preempt", "multifd"];
  const { parameters } = multifdOf(3, "zlib");
  const way: Way = {
    source: {},
    destination: { capabilities: ["postcopy-ram", ...both], parameters: parameters! },
    options: [
      "--multifd",
      "zlib",
      "--channels",
      "3",
      "--qemu",
      "11.1",
      ...SET,
      "--set",
      "serial:state.nosuch=1",
      "--set",
      "cpu:env.dr[2]=2",
      "--set",
      "nosuch:x=1",
      "--json",
    ],
    machine: { ...LATER, args: [...LATER.args, ...SERIAL] },
    migrate: async (vm, uri) => await switching(vm, uri, both),
  };
  await through(qemu, qemu, way, async (outcome) => {
    const { ended, loaded, truth, failure } = outcome;
    t.equal(ended.code, 1, ended.stderr);
    t.match(ended.stderr, /serial:state\.nosuch was not set, the guest went on: device serial has no field/u);
    const { converted } = flatDocument(ended.stdout) as { converted: { notSet: { name: string }[] } };
    const names = converted.notSet.map(({ name }) => name);
    t.deepEqual(
      names,
      ["serial:state.scr", "serial:state.nosuch", "nosuch:x"],
      "a device is changed whole or not at all",
    );
    t.ok(truth !== undefined, `the source completes: ${String(failure)}`);
    t.match(await loaded.vm.human("info registers"), /\bDR1=0*1234\b/u, "the other device is changed");
    t.deepEqual((await compare(loaded.vm, truth!)).differentBlocks, [], "memory as in the source");
    await runGuest(loaded.vm, 50);
    t.deepEqual((await compare(loaded.vm, truth!)).differentBlocks, ["pc.ram"], "the guest goes on and writes");
  });
});

test("pages of multifd channels into the main one, and a switch to postcopy, of a machine type without marks", async (t) => {
  const qemu = qemuOf(t, "11.1");
  if (qemu === undefined) return;
  const way: Way = {
    source: {},
    destination: { capabilities: ["postcopy-ram"] },
    options: ["--ram", "normal"],
    migrate: async (vm, uri) => await switching(vm, uri, ["multifd"]),
  };
  await through(qemu, qemu, way, async (outcome) => {
    if (!(await arrived(t, way, outcome))) return;
    await runGuest(outcome.loaded.vm, 50);
    const { differentBlocks } = await compare(outcome.loaded.vm, outcome.truth!);
    t.ok(differentBlocks.includes("pc.ram"), "the guest goes on and writes");
  });
});

test("pages into multifd channels of a machine type without marks, with a preempt channel, and a switch", async (t) => {
  const qemu = qemuOf(t, "11.1");
  if (qemu === undefined) return;
  const { parameters } = multifdOf(2, "zlib");
  const way: Way = {
    source: {},
    destination: { capabilities: ["postcopy-ram", "postcopy-preempt", "multifd"], parameters: parameters! },
    options: ["--multifd", "zlib", "--channels", "2"],
    migrate: async (vm, uri) => await switching(vm, uri, ["postcopy-preempt"]),
  };
  await through(qemu, qemu, way, async (outcome) => {
    if (!(await arrived(t, way, outcome))) return;
    await runGuest(outcome.loaded.vm, 50);
    const { differentBlocks } = await compare(outcome.loaded.vm, outcome.truth!);
    t.ok(differentBlocks.includes("pc.ram"), "the guest goes on and writes");
  });
});

test("a destination that refuses is heard on both sides", async (t) => {
  const qemu = qemuOf(t, "7.2");
  if (qemu === undefined) return;
  const machine = { args: LIVE.args, files: LIVE.files };
  const other = direct("pc-q35-7.2");
  for (const [options, args] of [
    [[], other],
    [["--ram", "normal"], other],
    [["--set", "cpu:env.dr[8]=1"], undefined],
  ] as const) {
    const way = {
      source: { capabilities: ["return-path"] },
      destination: args === undefined ? {} : { args },
      options,
      machine,
    };
    await through(qemu, qemu, way, async ({ ended, loaded, truth }) => {
      if (args === undefined) t.match(ended.stderr, /device cpu has no field "env\.dr\[8\]"/u, "not there: refused");
      t.equal(loaded.result.loaded, false, loaded.result.error);
      t.equal(truth, undefined, "the source does not complete");
      // It says why on its own stderr, and is gone: a lost peer.
      t.equal(ended.code, 2, ended.stderr.trim().split("\n").at(-1));
    });
  }
});

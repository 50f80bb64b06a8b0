/** Properties of the destination's devices that settle a difference: found, tried, given by arguments. */
import test from "tape";
import { QevmError } from "../src/bytes/errors.js";
import { textOf, type Json, type JsonObject } from "../src/io/transport/qmp.js";
import { placedDevices, type Monitor, type PlacedDevice } from "../src/rewrite/adapt/objects.js";
import { settingArguments, settle } from "../src/rewrite/adapt/settle.js";
import type { PlacedSetting } from "../src/rewrite/adapt/types.js";
import { tryCell } from "../tools/adapt/cell.js";
import { qemuOf } from "./support/loads.js";

const NET = "virtio-net-pci";
const vectors = (place: string, value: string): PlacedSetting => ({ place, property: "vectors", value });

test("one value for all devices of a type is a -global; another one of a device with an id is a -set", (t) => {
  const devices: PlacedDevice[] = [
    { place: "a", type: NET, id: undefined },
    { place: "b", type: NET, id: "net1" },
    { place: "c", type: NET, id: undefined },
  ];
  const args = (...settings: PlacedSetting[]): unknown => settingArguments(settings, devices);
  t.deepEqual(args(vectors("a", "4"), vectors("b", "4")), { args: ["-global", `${NET}.vectors=4`], alone: [] });
  t.deepEqual(
    args(vectors("b", "5"), vectors("a", "4")),
    { args: ["-global", `${NET}.vectors=4`, "-set", "device.net1.vectors=5"], alone: [] },
    "the device without an id has the -global",
  );
  const two = args(vectors("a", "4"), vectors("c", "5")) as { alone: PlacedSetting[] };
  t.deepEqual(two.alone, [vectors("c", "5")], "a second one without an id is out of reach");
  t.deepEqual(
    args(vectors("d", "5")),
    { args: [], alone: [vectors("d", "5")] },
    "so is a device that the machine lacks",
  );
  t.end();
});

/** A destination whose devices have the values that its arguments set, else 3. */
function destination(devices: readonly PlacedDevice[], refuses = (_args: readonly string[]): boolean => false) {
  const runs: string[] = [];
  return {
    runs,
    ask: async (args: readonly string[]) => {
      runs.push(args.join(" "));
      if (refuses(args)) throw new QevmError("io", "QEMU does not start so");
      const value = ({ type, id }: PlacedDevice, property: string): string | undefined => {
        const own = args.find((word) => word.startsWith(`device.${id}.${property}=`));
        return (own ?? args.find((word) => word.startsWith(`${type}.${property}=`)))?.split("=")[1];
      };
      const valueAt = (place: string, property: string): string =>
        value(
          devices.find((one) => one.place === place)!,
          property,
        ) ?? "3";
      return await Promise.resolve({ devices, valueAt });
    },
  };
}

/** Settles what each device needs, and says what is left. */
async function settled(needs: readonly PlacedSetting[], qemu: ReturnType<typeof destination>) {
  const { asked, args, apart } = await settle(
    qemu.ask,
    async ({ valueAt }) =>
      await Promise.resolve(needs.filter(({ place, property, value }) => valueAt(place, property) !== value)),
  );
  const left = needs.filter(({ place, property, value }) => asked.valueAt(place, property) !== value);
  return { args: args.join(" "), left, apart: [...apart] };
}

test("a property is set and kept where it helps, and others of the type keep their value", async (t) => {
  const devices = ["a", "b"].map((place): PlacedDevice => ({ place, type: NET, id: place }));
  const one = await settled([vectors("a", "4")], destination(devices.slice(0, 1)));
  t.deepEqual(one, { args: `-global ${NET}.vectors=4`, left: [], apart: [] });
  const both = await settled([vectors("a", "4"), vectors("b", "3")], destination(devices));
  t.deepEqual(both.left, [], "the -global of the first reached the second, which then had its own");
  t.match(both.args, /-set device\.b\.vectors=3/u);
  const qemu = destination(devices);
  t.deepEqual((await settled([], qemu)).args, "", "nothing is needed");
  t.equal(qemu.runs.length, 1, "and it is asked once");
  t.end();
});

test("a property that does not help, or stops QEMU, is taken back; the others stay", async (t) => {
  const devices = [{ place: "a", type: NET, id: undefined }];
  const needs = [vectors("a", "4"), { place: "a", property: "mq", value: "on" }];
  const stops = await settled(
    needs,
    destination(devices, (args) => args.some((word) => word.endsWith("mq=on"))),
  );
  t.equal(stops.args, `-global ${NET}.vectors=4`);
  t.deepEqual(stops.left, [needs[1]]);
  const apart = await settled(
    [vectors("a", "4"), vectors("c", "5")],
    destination([...devices, { place: "c", type: NET, id: undefined }]),
  );
  t.deepEqual([apart.left, apart.apart], [[vectors("c", "5")], ["c vectors"]], "out of reach, and said so");
  const without = destination(devices);
  const { args } = await settle(without.ask, async () => await Promise.resolve([vectors("a", "9")]));
  t.deepEqual(args, [], "what is still wanted after it was set does not help");
  t.end();
});

/** A machine with a bridge at 02.0 and a device after it. */
class Objects implements Monitor {
  private readonly values: Record<string, Json> = {
    "/machine/peripheral/rp addr": 16,
    "/machine/peripheral/rp parent_bus": "/machine/q35/pcie.0",
    "/machine/peripheral-anon/device[0] addr": 1,
    "/machine/peripheral-anon/device[0] parent_bus": "/machine/peripheral/rp/rp",
    "/machine/hpet addr": 5,
  };

  async execute(_: string, { path, property }: JsonObject = {}): Promise<Json> {
    const value = this.values[`${textOf(path)} ${textOf(property)}`];
    if (value === undefined) throw new QevmError("io", "no such property");
    return await Promise.resolve(value);
  }
}

test("PCI devices have the places that sections name them by", async (t) => {
  const objects = ["/machine/peripheral/rp", "/machine/peripheral-anon/device[0]", "/machine/hpet"].map((path) => ({
    path,
    type: path.slice(9),
  }));
  t.deepEqual(
    (await placedDevices(new Objects(), objects)).map(({ place, id }) => [place, id]),
    [
      ["0000:00:02.0", "rp"],
      ["0000:00:02.0:00.1", undefined],
    ],
  );
  t.end();
});

/** Two network devices, one with an id, a serial device with fewer ports, a display with more memory. */
const OLD =
  "-m 64 -nodefaults -netdev user,id=n0 -device virtio-net-pci,netdev=n0,vectors=5 -netdev user,id=n1 " +
  "-device virtio-net-pci,netdev=n1,id=b,vectors=7 -device virtio-serial-pci,max_ports=7 -device VGA,vgamem_mb=32";
const NOW = OLD.replaceAll(/,(?:vectors|max_ports|vgamem_mb)=\d+/gu, "");

test("a guest with other properties than the destination's goes on there", async (t) => {
  const qemu = qemuOf(t, "7.2");
  if (qemu === undefined) return;
  const [args, toArgs] = [OLD.split(" "), NOW.split(" ")];
  const cell = { old: qemu, now: qemu, from: "pc-i440fx-2.8", to: "pc-i440fx-7.2", args, toArgs, run: 500 };
  const { passed, at, why, globals } = await tryCell(cell);
  t.ok(passed, `${at} ${why}`);
  const set = globals.filter((word) => /vectors=[57]$|max_ports|vgamem/u.test(word));
  t.deepEqual(set, [
    "VGA.vgamem_mb=32",
    "virtio-net-pci.vectors=5",
    "device.b.vectors=7",
    "virtio-serial-pci.max_ports=7",
  ]);
});

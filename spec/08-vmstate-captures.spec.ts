import test from "tape";
import {
  encodeDevice,
  deviceFromPlain,
  deviceToPlain,
  printVmDescription,
  type PlainValue,
} from "../src/codec/vmstate/index.js";
import { listCorpus } from "../tools/corpus.js";
import { refusal, toHex } from "./support/bytes.js";
import { describe, deviceSections, written, type DeviceSection } from "./support/devices.js";
import { decodeDevice } from "../src/codec/vmstate/index.js";
import { QemuFileReader } from "../src/bytes/index.js";

const corpus = listCorpus();

/** `EAX=00000000`, `CS =f000 ffff0000 0000ffff 00009b00` and the like of the monitor's `info registers`. */
function register(text: string, name: string): bigint[] {
  const match = new RegExp(`(?:^|[\\s\\]])${name} *=\\s*([0-9a-f]+(?: [0-9a-f]+)*)`, "u").exec(text);
  return match === null ? [] : match[1]!.split(" ").map((digits) => BigInt(`0x${digits}`));
}

test("every device section of every capture is reproduced from its fields and its plain form", (t) => {
  if (corpus.length === 0) t.skip("no corpus in this checkout");
  let sections = 0;
  for (const entry of corpus) {
    const stream = entry.open();
    const described = describe(stream);
    if (described === undefined) {
      t.comment(`${entry.name}: no VMDESCRIPTION`);
      continue;
    }
    const { description, text, position } = described;
    t.ok(description.exact && printVmDescription(description) === text, `${entry.name}: the JSON text`);
    const devices = deviceSections(stream, description, position);
    t.equal(devices.length, description.devices.length, `${entry.name}: every device, ended by its footer`);
    let identical = 0;
    let plain = 0;
    for (const { description: schema, state, start, end } of devices) {
      const bytes = toHex(stream.subarray(start, end));
      const back = written((writer) => {
        encodeDevice(writer, state);
      });
      if (toHex(back) === bytes) identical++;
      else t.fail(`${entry.name}: ${schema.name} differs`);
      const person = JSON.parse(JSON.stringify(deviceToPlain(state))) as unknown;
      const edited = written((writer) => {
        encodeDevice(writer, deviceFromPlain(schema, person));
      });
      if (toHex(edited) === bytes) plain++;
      else t.fail(`${entry.name}: ${schema.name} differs after the plain form`);
      const { typed, named, opaque } = state.bytes;
      if (opaque !== 0 || typed + named !== end - start) t.fail(`${entry.name}: ${schema.name} is not counted whole`);
    }
    t.equal(identical, devices.length, `${entry.name}: ${identical} sections encode identically`);
    t.equal(plain, devices.length, `${entry.name}: ${plain} sections through the plain form`);
    sections += devices.length;
  }
  t.comment(`${sections} sections`);
  t.end();
});

test("the CPU's fields equal the monitor's output of the stopped source", (t) => {
  let compared = 0;
  for (const entry of corpus) {
    const { registers } = entry.truth;
    const stream = entry.open();
    const described = describe(stream);
    if (described === undefined || typeof registers !== "string") continue;
    const cpu = deviceSections(stream, described.description, described.position).find(
      ({ description }) => description.name === "cpu" && description.instanceId === 0,
    );
    // The CPUs of other targets are compared in chapter 58.
    if (cpu === undefined || !/^[ER]AX=/mu.test(registers)) continue;
    compared += compareRegisters(t, entry.name, registers.split(/CPU#1/u)[0]!, cpu);
  }
  if (compared === 0) t.skip("no capture with a processor in this checkout");
  t.end();
});

function number(value: PlainValue | undefined): bigint {
  return BigInt(value as string | number);
}

function compareRegisters(t: test.Test, name: string, text: string, cpu: DeviceSection): number {
  const { fields } = deviceToPlain(cpu.state);
  const wide = text.includes("RAX=");
  const order = ["AX", "CX", "DX", "BX", "SP", "BP", "SI", "DI"].map((half) => (wide ? `R${half}` : `E${half}`));
  const regs = fields["env.regs"] as PlainValue[];
  const mine = regs.slice(0, 8).map((value) => number(value));
  const theirs = order.map((register_) => register(text, register_)[0]);
  t.deepEqual(mine, theirs, `${name}: general registers`);
  t.equal(number(fields["env.eip"]), register(text, wide ? "RIP" : "EIP")[0], `${name}: instruction pointer`);
  const segments = fields["env.segs"] as Record<string, PlainValue>[];
  const segment = (value: Record<string, PlainValue>): bigint[] =>
    // The monitor shows bits 8 to 23 of the flags.
    [...["selector", "base", "limit"].map((key) => number(value[key])), number(value["flags"]) & 0xffff00n];
  t.deepEqual(
    segments.map((value) => segment(value)),
    ["ES", "CS", "SS", "DS", "FS", "GS"].map((key) => register(text, key)),
    `${name}: segments`,
  );
  t.deepEqual(
    [0, 2, 3, 4].map((n) => number(fields[`env.cr[${n}]`])),
    [0, 2, 3, 4].map((n) => register(text, `CR${n}`)[0]),
    `${name}: control registers`,
  );
  return 1;
}

test("a device part cut anywhere, or changed in one byte, is decoded or refused with an offset", async (t) => {
  const entry = corpus.find(({ name }) => name === "machine-none") ?? corpus[0];
  const big = corpus.find(({ name }) => name === "pc-firmware") ?? corpus[0];
  if (entry === undefined || big === undefined) {
    t.skip("no corpus in this checkout");
    t.end();
    return;
  }
  let tried = 0;
  for (const { name, open } of [entry, big]) {
    const stream = open();
    const described = describe(stream)!;
    for (const { description, start, end } of deviceSections(stream, described.description, described.position)) {
      if (end - start > 3000) continue;
      const payload = stream.subarray(start, end + 5);
      const attempt = async (bytes: Uint8Array, what: string): Promise<void> => {
        tried++;
        const options = { endsAt: (at: number): boolean => at === end };
        const error = await refusal(() => decodeDevice(QemuFileReader.over(bytes, start), description, options));
        const offset = error?.offset ?? start;
        if (offset < start || offset > start + bytes.length)
          t.fail(`${name} ${description.name} ${what}: ${error?.message}`);
      };
      for (let cut = 0; cut < end - start; cut += 7) await attempt(payload.subarray(0, cut), `cut at ${cut}`);
      for (let at = 0; at < end - start; at += 11) {
        const changed = payload.slice();
        changed[at]! ^= 1 << (at % 8);
        await attempt(changed, `changed at ${at}`);
      }
    }
  }
  t.ok(tried > 100, `${tried} broken payloads`);
  t.end();
});

import { QevmError } from "../../bytes/errors.js";
import { Turns } from "../../io/transport/turns.js";
import type { CpuState } from "../../guest/cores/cpu-state.js";
import type { Peer } from "../peer.js";
import type { SavedGuest } from "./guest.js";
import { monitor, type MonitorTools } from "./monitor.js";
import { PACKET_SIZE, Packets } from "./packets.js";
import { targetXml } from "./target-xml.js";

/** Errors of QEMU's stub: a bad address, a wrong argument. */
const BAD_ADDRESS = "E14";
const WRONG = "E22";
const SAVED = "this guest is saved: it does not run\n";
/** Bytes of text in one O packet. */
const MOST_TEXT = 2048;

/** Ends the talk after what was sent. */
class Ended extends Error {}

/**
 * One debugger, by the GDB remote protocol as QEMU's stub speaks it (gdbstub/gdbstub.c, 7.2). Returns when it has gone.
 * Errors: `PeerGone`.
 */
export async function debug(peer: Peer, guest: SavedGuest, tools: MonitorTools): Promise<void> {
  const session = new Session(new Packets(peer), guest, tools);
  const turns = new Turns();
  try {
    for (;;) {
      await session.one();
      await turns.due();
    }
  } catch (error) {
    if (!(error instanceof Ended)) throw error;
  }
}

class Session {
  private cpu: CpuState;
  private multiprocess = false;
  private physical = false;
  /** lldb's form of `x`: without the leading b. */
  private plainBinary = false;
  private readonly xml: Buffer;

  constructor(
    private readonly packets: Packets,
    private readonly guest: SavedGuest,
    private readonly tools: MonitorTools,
  ) {
    this.cpu = guest.cpus[0]!;
    this.xml = Buffer.from(targetXml(guest.registers), "latin1");
  }

  async one(): Promise<void> {
    const packet = await this.packets.next();
    let reply: string | Uint8Array;
    try {
      reply = await this.reply(packet);
    } catch (error) {
      if (!(error instanceof QevmError)) throw error;
      reply = error.code === "does-not-fit" ? WRONG : BAD_ADDRESS;
    }
    await this.packets.send(reply);
    if (packet.toString("latin1", 0, 15) === "QStartNoAckMode") this.packets.acknowledge = false;
  }

  private async reply(packet: Buffer): Promise<string | Uint8Array> {
    const text = packet.toString("latin1");
    const rest = text.slice(1);
    switch (text[0]) {
      case "\u0003":
      case "?":
        return this.stopped();
      case "q":
      case "Q":
        return await this.query(text);
      case "H":
        return this.choose(rest);
      case "T":
        return this.cpuNamed(rest) === undefined ? WRONG : "OK";
      case "g":
        return this.all()
          .map((bytes) => bytes.toString("hex"))
          .join("");
      case "G":
        return this.setAll(rest);
      case "p":
      case "P":
        return this.register(text);
      case "m":
      case "x":
        return await this.read(text);
      case "M":
      case "X":
        return await this.write(packet);
      case "c":
      case "C":
      case "s":
      case "S":
        return await this.refuseToRun();
      case "v":
        return await this.verbose(text);
      case "D":
        await this.packets.send("OK");
        throw new Ended();
      case "k":
        throw new Ended();
      default:
        // Also break- and watchpoints (Z, z): a guest that does not run needs none.
        return "";
    }
  }

  private async query(text: string): Promise<string | Uint8Array> {
    const [, name = "", rest = ""] = /^([^:,;]+)[:,;]?(.*)$/su.exec(text) ?? [];
    const { cpus } = this.guest;
    switch (name) {
      case "qSupported":
        this.multiprocess = rest.split(";").includes("multiprocess+");
        return [
          `PacketSize=${PACKET_SIZE.toString(16)}`,
          "qXfer:features:read+",
          "QStartNoAckMode+",
          "vContSupported+",
          "binary-upload+",
          ...(this.multiprocess ? ["multiprocess+"] : []),
        ].join(";");
      case "QStartNoAckMode":
        return "OK";
      case "qXfer":
        return this.transfer(rest);
      case "qfThreadInfo":
        return `m${cpus.map((cpu) => this.thread(cpu)).join(",")}`;
      case "qsThreadInfo":
        return "l";
      case "qThreadExtraInfo": {
        const cpu = this.cpuNamed(rest);
        return cpu === undefined ? WRONG : Buffer.from(`CPU#${cpu.instance} [saved]`).toString("hex");
      }
      case "qC":
        return `QC${this.thread(this.cpu)}`;
      case "qAttached":
        return "1";
      case "qSymbol":
        return "OK";
      case "qqemu.PhyMemMode":
        return this.physical ? "1" : "0";
      case "Qqemu.PhyMemMode":
        if (rest !== "0" && rest !== "1") return WRONG;
        this.physical = rest === "1";
        return "OK";
      case "qRcmd":
        return await this.command(rest);
      default:
        return "";
    }
  }

  /** `features:read:target.xml:OFFSET,LENGTH`. */
  private transfer(text: string): string | Uint8Array {
    const [, from, length] = /^features:read:target\.xml:([0-9a-f]{1,8}),([0-9a-f]{1,8})$/iu.exec(text) ?? [];
    if (from === undefined || length === undefined) return text.startsWith("features:read:") ? "E00" : "";
    const start = Number.parseInt(from, 16);
    if (start > this.xml.length) return WRONG;
    const piece = this.xml.subarray(start, start + Math.min(Number.parseInt(length, 16), PACKET_SIZE / 2));
    return Buffer.concat([Buffer.from(start + piece.length < this.xml.length ? "m" : "l"), piece]);
  }

  private async command(digits: string): Promise<string> {
    if (!isHex(digits)) return WRONG;
    const line = Buffer.from(digits, "hex").toString("utf8");
    await this.say(await monitor(line, this.guest, this.cpu, this.tools));
    return "OK";
  }

  private async say(text: string): Promise<void> {
    const bytes = Buffer.from(text, "utf8");
    for (let at = 0; at < bytes.length; at += MOST_TEXT) {
      await this.packets.send(`O${bytes.subarray(at, at + MOST_TEXT).toString("hex")}`);
    }
  }

  private async verbose(text: string): Promise<string> {
    if (text === "vCont?") return "vCont;c;C;s;S";
    if (text.startsWith("vCont;")) return await this.refuseToRun();
    if (!text.startsWith("vKill")) return "";
    await this.packets.send("OK");
    throw new Ended();
  }

  /** The debugger is told in words, and that the guest has stopped where it was. */
  private async refuseToRun(): Promise<string> {
    await this.say(SAVED);
    return this.stopped();
  }

  private stopped(): string {
    return `T05thread:${this.thread(this.cpu)};`;
  }

  private thread({ instance }: CpuState): string {
    const number = (instance + 1).toString(16).padStart(2, "0");
    return this.multiprocess ? `p01.${number}` : number;
  }

  /** `p1.2`, `2`; 0 and -1 are any. */
  private cpuNamed(text: string): CpuState | undefined {
    const found = /^(?:p(?:0*1|0|-1)(?:\.|$))?(-1|[0-9a-f]{1,8})?$/iu.exec(text);
    if (found === null || text === "") return undefined;
    const digits = found[1] ?? "0";
    const number = digits === "-1" ? 0 : Number.parseInt(digits, 16);
    return number === 0 ? this.guest.cpus[0] : this.guest.cpus.find(({ instance }) => instance + 1 === number);
  }

  /** `Hg`: the thread of registers and memory; `Hc` of what cannot be. */
  private choose(text: string): string {
    const cpu = this.cpuNamed(text.slice(1));
    if (cpu === undefined) return WRONG;
    if (text.startsWith("g")) this.cpu = cpu;
    return "OK";
  }

  private all(): Buffer[] {
    return [...this.guest.registers.registers.values()].map((register) => this.guest.register(this.cpu, register));
  }

  private setAll(digits: string): string {
    const old = this.all();
    if (!isHex(digits) || digits.length !== 2 * old.reduce((sum, { length }) => sum + length, 0)) return WRONG;
    const bytes = Buffer.from(digits, "hex");
    let at = 0;
    [...this.guest.registers.registers.values()].forEach((register, k) => {
      const own = bytes.subarray(at, at + old[k]!.length);
      at += own.length;
      if (!own.equals(old[k]!)) this.guest.setRegister(this.cpu, register, own);
    });
    return "OK";
  }

  /** `pNUMBER`, `PNUMBER=VALUE`. */
  private register(text: string): string {
    const [, number, value] = /^[pP]([0-9a-f]{1,8})(?:=(.*))?$/iu.exec(text) ?? [];
    const register = this.guest.registers.registers.get(Number.parseInt(number ?? "", 16));
    if (register === undefined) return WRONG;
    if (text.startsWith("p")) return this.guest.register(this.cpu, register).toString("hex");
    if (value === undefined || !isHex(value)) return WRONG;
    this.guest.setRegister(this.cpu, register, Buffer.from(value, "hex"));
    return "OK";
  }

  private async read(text: string): Promise<string | Uint8Array> {
    const [, from, size] = /^[mx]([0-9a-f]{1,16}),([0-9a-f]{1,8})$/iu.exec(text) ?? [];
    if (from === undefined || size === undefined) return WRONG;
    const length = Number.parseInt(size, 16);
    const binary = text.startsWith("x");
    if (length > PACKET_SIZE / 2 - 8) return WRONG;
    if (length === 0) {
      // lldb asks so whether there is x at all.
      this.plainBinary ||= binary;
      return binary ? "OK" : "";
    }
    const bytes = Buffer.from(await this.guest.read(this.addressed(), BigInt(`0x${from}`), length));
    if (!binary) return bytes.toString("hex");
    return this.plainBinary ? bytes : Buffer.concat([Buffer.from("b"), bytes]);
  }

  private async write(packet: Buffer): Promise<string> {
    const colon = packet.indexOf(":");
    const head = packet.toString("latin1", 0, colon < 0 ? packet.length : colon);
    const [, from, size] = /^[MX]([0-9a-f]{1,16}),([0-9a-f]{1,8})$/iu.exec(head) ?? [];
    if (colon < 0 || from === undefined || size === undefined) return WRONG;
    const content = packet.subarray(colon + 1);
    const digits = head.startsWith("M") ? content.toString("latin1") : undefined;
    if (digits !== undefined && !isHex(digits)) return WRONG;
    const bytes = digits === undefined ? content : Buffer.from(digits, "hex");
    if (bytes.length !== Number.parseInt(size, 16)) return WRONG;
    if (bytes.length > 0) await this.guest.write(this.addressed(), BigInt(`0x${from}`), bytes);
    return "OK";
  }

  /** Whose virtual addresses are meant; undefined: physical ones. */
  private addressed(): CpuState | undefined {
    return this.physical ? undefined : this.cpu;
  }
}

function isHex(text: string): boolean {
  return text.length % 2 === 0 && /^[0-9a-f]*$/iu.test(text);
}

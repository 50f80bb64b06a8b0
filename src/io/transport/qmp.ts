/**
 * A QMP client over a unix socket or a program's standard streams: one JSON document per line, replies matched by id,
 * events stored and awaited. Every command and every wait has a time limit.
 */
import { createConnection } from "node:net";
import type { Readable, Writable } from "node:stream";
import { QevmError } from "../../bytes/errors.js";

/** Any JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** The arguments of a command. */
export type JsonObject = { readonly [key: string]: Json };

/** A string member of a reply; empty when it is missing or has another type. */
export function textOf(value: Json | undefined): string {
  return typeof value === "string" ? value : "";
}

/** An asynchronous event from QEMU. */
export interface QmpEvent {
  readonly event: string;
  readonly data: JsonObject;
}

interface Pending {
  readonly resolve: (value: Json) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
  readonly command: string;
}

const defaultTimeout = 30_000;
const longestLine = 64 * 1024 * 1024;

function parse(line: string): JsonObject | undefined {
  try {
    const value = JSON.parse(line) as Json;
    return value !== null && typeof value === "object" && !Array.isArray(value) ? (value as JsonObject) : undefined;
  } catch {
    return undefined;
  }
}

/** One connection to a QEMU monitor, ready for commands. */
export class QmpClient {
  /** Events since the connection was made, in order of arrival. */
  readonly events: QmpEvent[] = [];
  readonly #from: Readable;
  readonly #to: Writable;
  readonly #pending = new Map<number, Pending>();
  readonly #watchers = new Set<() => void>();
  #nextId = 1;
  #rest = "";
  #closed = false;

  private constructor(from: Readable, to: Writable) {
    this.#from = from;
    this.#to = to;
    from.setEncoding("utf8");
    from.on("data", (text: string) => this.#take(text));
    for (const stream of [from, to]) {
      stream.on("error", () => this.#end());
      stream.on("close", () => this.#end());
    }
  }

  /** Connects to an existing socket and negotiates capabilities. Errors: io. */
  static async connect(path: string, timeout = defaultTimeout): Promise<QmpClient> {
    const socket = createConnection(path);
    try {
      await new Promise<void>((resolve, reject) => {
        const failed = (text: string, cause?: Error): void =>
          reject(new QevmError("io", `QMP ${path}: ${text}`, { cause }));
        const timer = setTimeout(() => failed(`no connection in ${timeout} ms`), timeout);
        socket.once("close", () => clearTimeout(timer));
        socket.once("error", (error) => failed(error.message, error));
        socket.once("connect", () => {
          clearTimeout(timer);
          resolve();
        });
      });
      return await QmpClient.over(socket, socket, timeout);
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  /** Uses streams that are already open (`-qmp stdio`) and negotiates capabilities. */
  static async over(from: Readable, to: Writable, timeout = defaultTimeout): Promise<QmpClient> {
    const client = new QmpClient(from, to);
    await client.execute("qmp_capabilities", {}, timeout);
    return client;
  }

  /** True when the monitor is gone, usually because QEMU has exited. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Runs one command. Rejects with QEMU's error description. Time limit in milliseconds. */
  async execute(command: string, args: JsonObject = {}, timeout = defaultTimeout): Promise<Json> {
    if (this.#closed) throw new QevmError("io", `QMP ${command}: the monitor is closed`);
    const id = this.#nextId++;
    return await new Promise<Json>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new QevmError("io", `QMP ${command}: no reply in ${timeout} ms`));
      }, timeout);
      this.#pending.set(id, { resolve, reject, timer, command });
      const empty = Object.keys(args).length === 0;
      this.#to.write(
        `${JSON.stringify(empty ? { execute: command, id } : { execute: command, arguments: args, id })}\n`,
      );
    });
  }

  /** Runs a human monitor command and returns its text with plain line ends. */
  async human(commandLine: string, timeout = defaultTimeout): Promise<string> {
    const text = await this.execute("human-monitor-command", { "command-line": commandLine }, timeout);
    return textOf(text).replaceAll("\r\n", "\n");
  }

  /** Waits for an event, past or future. Undefined on timeout or when the monitor is gone. */
  async waitEvent(
    name: string,
    timeout: number,
    accept = (_data: JsonObject): boolean => true,
  ): Promise<QmpEvent | undefined> {
    const look = (): QmpEvent | undefined => this.events.find((item) => item.event === name && accept(item.data));
    const until = Date.now() + timeout;
    for (;;) {
      const found = look();
      const left = until - Date.now();
      if (found !== undefined || this.#closed || left <= 0) return found;
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          this.#watchers.delete(done);
          resolve();
        };
        const timer = setTimeout(done, left);
        this.#watchers.add(done);
      });
    }
  }

  /** Closes the connection; QEMU keeps running. */
  close(): void {
    this.#from.destroy();
    this.#to.destroy();
    this.#end();
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > longestLine) return this.#end();
    for (const line of lines) {
      if (line.trim() === "") continue;
      const message = parse(line);
      // A peer that sends anything else is not a monitor.
      if (message === undefined) return this.#end();
      this.#message(message);
    }
  }

  #message(message: JsonObject): void {
    if (typeof message["event"] === "string") {
      this.events.push({ event: message["event"], data: (message["data"] ?? {}) as JsonObject });
      for (const wake of this.#watchers) wake();
      return;
    }
    const pending = this.#pending.get(Number(message["id"]));
    if (pending === undefined) return;
    this.#pending.delete(Number(message["id"]));
    clearTimeout(pending.timer);
    const error = message["error"] as { readonly desc?: string } | undefined;
    if (error === undefined) pending.resolve(message["return"] ?? null);
    else pending.reject(new QevmError("io", `QMP ${pending.command}: ${error.desc ?? "failed"}`));
  }

  #end(): void {
    this.#closed = true;
    for (const { reject, timer, command } of this.#pending.values()) {
      clearTimeout(timer);
      reject(new QevmError("io", `QMP ${command}: QEMU closed its monitor`));
    }
    this.#pending.clear();
    for (const wake of this.#watchers) wake();
  }
}

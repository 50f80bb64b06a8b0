/**
 * Records every connection of a migrating QEMU. It uses no code of `src`, since it is the reference for the decoder.
 */
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { runStep, waitGuest } from "../capture/steps.js";
import { takeTruth, type Truth } from "../capture/truth.js";
import type { QemuBinary } from "../qemu/find.js";
import { makeWorkFolder, QemuProcess } from "../qemu/process.js";
import type { Recipe } from "./machines.js";

/** What was sent, in order of arrival: index of the connection, offset and number of bytes. */
export type Arrival = readonly [connection: number, offset: number, length: number];

/** The connections of one migration in the order in which they were made. */
export interface Recorded {
  readonly connections: readonly Buffer[];
  readonly sequence: readonly Arrival[];
  readonly truth: Omit<Truth, "destination">;
}

/** The source of a recipe, with its files in place. Always `close()` it. */
export async function startSource(qemu: QemuBinary, recipe: Pick<Recipe, "args" | "files">): Promise<QemuProcess> {
  const folder = makeWorkFolder(qemu);
  for (const [name, bytes] of Object.entries(recipe.files)) writeFileSync(join(folder, name), bytes);
  return await QemuProcess.start(qemu, recipe.args, folder);
}

/** Migrates a source to `uri`, live if the recipe says so, until QEMU reports "completed". */
export async function migrateTo(
  vm: QemuProcess,
  uri: string,
  recipe: Pick<Recipe, "capabilities" | "parameters" | "rounds" | "files">,
): Promise<void> {
  const { capabilities, rounds } = recipe;
  if (recipe.files["bios.img"] !== undefined) await waitGuest(vm);
  const list = capabilities.map((capability) => ({ capability, state: true }));
  if (list.length > 0) await vm.execute("migrate-set-capabilities", { capabilities: list });
  const slow = rounds === undefined ? {} : { "max-bandwidth": 1 << 20, "downtime-limit": 1 };
  await vm.execute("migrate-set-parameters", { ...slow, ...recipe.parameters });
  await vm.execute("migrate", { uri });
  if (rounds !== undefined) {
    await runStep(vm, { wait: "rounds", count: rounds });
    await vm.execute("migrate-set-parameters", { "downtime-limit": 20_000, "max-bandwidth": 1 << 28 });
  }
  await runStep(vm, { wait: "completed" });
}

/** Runs the migration of a recipe against a listener that never replies. */
export async function record(qemu: QemuBinary, recipe: Recipe): Promise<Recorded> {
  const vm = await startSource(qemu, recipe);
  const heard = new Listener();
  try {
    await migrateTo(vm, await heard.listen(), recipe);
    const truth = await takeTruth(vm, await vm.execute("query-status"));
    await heard.ended();
    return { connections: heard.connections.map((parts) => Buffer.concat(parts)), sequence: heard.sequence, truth };
  } finally {
    heard.close();
    await vm.close();
  }
}

class Listener {
  readonly connections: Buffer[][] = [];
  readonly sequence: Arrival[] = [];
  private readonly sockets: { socket: Socket; ended: Promise<void> }[] = [];
  private readonly server: Server = createServer((socket) => this.accept(socket));

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => {
      this.server.listen(0, "127.0.0.1", resolve);
    });
    return `tcp:127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async ended(): Promise<void> {
    await Promise.all(this.sockets.map(({ ended }) => ended));
  }

  close(): void {
    for (const { socket } of this.sockets) socket.destroy();
    this.server.close();
  }

  private accept(socket: Socket): void {
    const index = this.connections.length;
    const parts: Buffer[] = [];
    let length = 0;
    this.connections.push(parts);
    const ended = new Promise<void>((resolve) => {
      socket.once("close", () => resolve());
    });
    this.sockets.push({ socket, ended });
    socket.on("error", () => socket.destroy());
    socket.on("data", (bytes) => {
      parts.push(bytes);
      const last = this.sequence.at(-1);
      if (last?.[0] === index) this.sequence[this.sequence.length - 1] = [index, last[1], last[2] + bytes.length];
      else this.sequence.push([index, length, bytes.length]);
      length += bytes.length;
    });
  }
}

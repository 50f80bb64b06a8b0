import type { QemuProcess } from "./process.js";

/** Migrates a QEMU into a file of its working folder. Returns the file's path. */
export async function saveStream(vm: QemuProcess): Promise<string> {
  await vm.execute("migrate-set-parameters", { "max-bandwidth": 2 ** 40 });
  await vm.execute("migrate", { uri: "exec:cat > $DIR/stream" });
  for (;;) {
    const state = (await vm.execute("query-migrate")) as { status?: string };
    if (state.status === "completed") return vm.file("stream");
    if (state.status === "failed") throw new Error("migration failed");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

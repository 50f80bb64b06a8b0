import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { plainEnvironment, qevm, type Ended } from "./program.js";

const MAKER = fileURLToPath(new URL("../../tools/make-stream.js", import.meta.url));

/** Runs the shipped `qevm ARGS` on a generated stream of so much RAM. Also returns what the generator reports. */
export async function qevmOnMade(ram: string, args: readonly string[]): Promise<Ended & { sent: string }> {
  const maker = spawn(process.execPath, [MAKER, "--ram", ram, "--zero", "0.97"], {
    stdio: ["ignore", "pipe", "pipe"],
    env: plainEnvironment(),
  });
  let sent = "";
  maker.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    sent += chunk;
  });
  const closed = new Promise<void>((resolve) => {
    maker.on("close", () => resolve());
  });
  const ended = await qevm(args, { plain: true, stdin: maker.stdout });
  await closed;
  if (ended.code !== 0) throw new Error(`exit code ${ended.code}: ${ended.stderr}`);
  return { ...ended, sent: sent.trim() };
}

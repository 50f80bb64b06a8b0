import type { GuestPages } from "../guest/read/guest-memory.js";
import type { IndexedPages } from "../guest/read/indexed-pages.js";
import type { StatedPart } from "../guest/layout/stated-layout.js";
import { MemorySpace } from "../guest/read/space.js";
import { NbdExports, nbdUri, serveNbd, type NbdExport } from "../serve/nbd/index.js";
import { parse, UsageError } from "./arguments.js";
import { refusals } from "./kept.js";
import { layoutIn, statedLayout, withMemory } from "./memory.js";
import { printResult } from "./document.js";
import { printWarnings, tell, tellSource } from "./output.js";

/** The port that is registered for NBD, for this machine only. */
const USUAL = "tcp:127.0.0.1:10809";

/** `qevm serve nbd FILE`. */
export async function run([action, ...argv]: string[]): Promise<number> {
  if (action !== "nbd")
    throw new UsageError(`expected nbd${action === undefined ? "" : `, not ${JSON.stringify(action)}`}`);
  const args = parse("serve nbd", argv, [1, 1], "one FILE");
  const block = args.text("block");
  if (block !== undefined && args.text("layout") !== undefined) throw new UsageError("--layout goes without --block");
  const parts = statedLayout(args);
  const [file] = args.positionals as [string];
  return await withMemory(args, file, block === undefined, async (opened) => {
    printWarnings(opened.pages.diagnostics.warnings);
    const exports = exportsOf(opened, block, parts);
    await serveNbd(args.text("listen") ?? USUAL, new NbdExports(exports), {
      once: args.flag("once"),
      allow: args.list("allow"),
      onRefused: refusals(),
      onListening: (uri) => {
        tellSource(uri);
        tell(`for NBD clients: ${nbdUri(uri)}`);
        if (args.flag("json")) printResult({ uri, nbd: nbdUri(uri), exports: exports.map(shown) });
      },
      onTrouble: (error) => tell(error.message),
    });
    return 0;
  });
}

function shown({ name, description, space }: NbdExport): object {
  return { export: name, description, exportLength: space.size };
}

function exportsOf(
  opened: IndexedPages,
  block: string | undefined,
  stated: readonly StatedPart[] | undefined,
): NbdExport[] {
  const { pages } = opened;
  if (block !== undefined) return [blockExport(pages, block)];
  const layout = layoutIn(opened, stated);
  const physical = {
    name: "physical",
    description: "guest-physical memory",
    space: MemorySpace.physical(pages, layout),
  };
  return [physical, ...pages.blocks.map(({ name }) => blockExport(pages, name))];
}

function blockExport(pages: GuestPages, name: string): NbdExport {
  return { name, description: `RAM block ${name}`, space: MemorySpace.block(pages, name) };
}

import { containerName, type Container } from "../io/container/types.js";
import { openInput } from "../io/container/input.js";
import { explainStream } from "../analyse/explain/index.js";
import { DECODE_OPTIONS, inputOptions, parse, streamOptions, UsageError } from "./arguments.js";
import { report } from "./explain-report.js";
import { print, printJson, withProgress } from "./output.js";

/** `qevm explain FILE ["QEMU's error text"]`. */
export async function run(argv: string[]): Promise<number> {
  const args = parse(argv, DECODE_OPTIONS, [1, 2], "FILE and at most one text (quote it)");
  const [file, text] = args.positionals as [string, string | undefined];
  if (args.flag("lenient")) throw new UsageError("explain always continues after damage: it takes no --lenient");
  const input = await openInput(file, { ...inputOptions(args), unfinished: true, incomplete: true });
  const containers = input.containers.map(kindOf);
  const source = withProgress(input, "reading");
  const explained = await explainStream(source, text, {
    ...(await streamOptions(args)),
    name: file,
    containers,
  }).finally(() => source.done());
  await source.close?.();
  if (args.flag("json")) printJson({ file, container: containerName(input.containers), ...explained });
  else print(report(file === "-" ? "standard input" : file, explained, containers));
  return explained.damage.length > 0 ? 1 : 0;
}

function kindOf(container: Container): string {
  return container.kind;
}

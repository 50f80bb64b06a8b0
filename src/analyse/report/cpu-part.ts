import { registerLines } from "../../guest/cores/register-lines.js";
import { cpuRegisters } from "../../guest/cores/cpu.js";
import { markup, type Piece } from "./html.js";
import { first, type Part } from "./parts.js";
import type { ReportFacts } from "./types.js";

/** CPUs whose registers are printed. */
const MOST_CPUS = 64;

/** Registers by name, as `qevm devices FILE cpu` prints them. */
export function cpuPart({ devices, afterDamage }: ReportFacts): Part {
  const cpus = [...devices, ...afterDamage].filter(({ idstr }) => idstr === "cpu");
  const { shown, left } = first(cpus, MOST_CPUS);
  const body = shown.map(({ instanceId, content }, i): Piece => {
    const registers = content.kind === "device" ? cpuRegisters(content.state) : undefined;
    if (registers === undefined)
      return markup`<p>
        <code>cpu/${instanceId}</code>: its registers have no names here (not an x86 CPU, or not understood); its fields
        are among the devices.
      </p>
`;
    return markup`<details${i < 2 && markup` open`}><summary><code>cpu/${instanceId}</code></summary><pre>${registerLines(registers).map((line) => markup`${line.replace(/^ {2}/u, "")}\n`)}</pre></details>
`;
  });
  if (cpus.length === 0)
    return {
      id: "cpu",
      heading: "CPU registers",
      body: markup`<p>No CPU was reached.</p>
`,
    };
  const note =
    left > 0 &&
    markup`<p class="note">${left} more CPUs are left out: <code>qevm devices FILE cpu</code> prints all.</p>
`;
  return { id: "cpu", heading: "CPU registers", body: [body, note] };
}

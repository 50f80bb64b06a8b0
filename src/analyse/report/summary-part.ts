import { containerName, type Container } from "../../io/container/types.js";
import { fileSize, memorySize } from "../../bytes/text.js";
import { joined, longText, markup, people, type Html, type Piece } from "./html.js";
import { address, exact, first, list, table, type Part } from "./parts.js";
import { verdict } from "./verification-part.js";
import type { ReportFacts } from "./types.js";

/** What the stream is. */
export function summaryPart(facts: ReportFacts): Part {
  const { inspection, files, containers } = facts;
  const { ram } = inspection;
  const total = ram.blocks.reduce((sum, block) => sum + block.blockLength, 0);
  const [single] = files;
  const recording = containers.some(({ kind }) => kind === "recording");
  const pairs: [string, Piece][] = [
    ["File", people(facts.name)],
    ...(recording || single === undefined ? [] : fileLines(single)),
    ["Wrapped in", containerName(containers) ?? "nothing: the bare stream"],
    [
      "Stream",
      `${fileSize(inspection.streamLength)} (${exact(inspection.streamLength)} bytes), header version ${inspection.streamVersion}`,
    ],
    ["Machine", inspection.machine ?? "not in the stream (no configuration section)"],
    ["Kind", inspection.evident.includes("postcopy-ram") ? "postcopy" : "precopy"],
    ["Capabilities announced", words(inspection.capabilities)],
    ["Shown by the contents", words(inspection.evident)],
    ["Page size", memorySize(inspection.pageSize)],
    ["RAM", `${ram.blocks.length === 1 ? "1 block" : `${exact(ram.blocks.length)} blocks`}, ${memorySize(total)}`],
    [
      "Devices",
      `${exact(inspection.devices.length)}${facts.afterDamage.length > 0 ? `, and ${exact(facts.afterDamage.length)} found after the damage` : ""}`,
    ],
    ["VMDESCRIPTION", inspection.vmdescription ? "yes" : "no"],
    ["Section footers", inspection.footers === null ? "no section has ended" : inspection.footers ? "yes" : "no"],
    ["Complete", inspection.complete ? "yes: EOF was reached" : markup`<strong class="bad">no</strong>`],
    ["Verified", verdict(facts)],
  ];
  return {
    id: "stream",
    heading: "The stream",
    body: [list(pairs), wrappings(containers), files.length > 1 || recording ? fileTable(facts) : ""],
  };
}

function fileLines({ bytes, sha256 }: ReportFacts["files"][number]): [string, Piece][] {
  return [
    ["Size of the file", `${fileSize(bytes)} (${exact(bytes)} bytes)`],
    ["SHA-256 of the file", markup`<code class="hash">${sha256}</code>`],
  ];
}

function words(names: readonly string[]): Piece {
  if (names.length === 0) return "none";
  const { shown, left } = first(names, 100);
  return [
    joined(
      shown.map((name) => markup`<code>${name}</code>`),
      markup` `,
    ),
    left > 0 && ` and ${left} more`,
  ];
}

function fileTable({ files, channels }: ReportFacts): Html {
  const { shown, left } = first(files, 300);
  const rows = shown.map(({ name, bytes, sha256 }) => {
    const channel = channels.find((one) => one.file === name);
    const pages = channel === undefined ? "" : exact(channel.normal + channel.zero);
    return [
      name,
      channel?.role ?? "main",
      exact(bytes),
      pages,
      channel?.method ?? "",
      markup`<code class="hash">${sha256}</code>`,
    ];
  });
  const columns = [
    { name: "file" },
    { name: "role" },
    { name: "bytes", number: true },
    { name: "pages", number: true },
    { name: "method" },
    { name: "SHA-256" },
  ];
  return table("Channels of the recording", columns, rows, left > 0 && `${left} more files are left out.`);
}

/** Characters of a domain XML that are shown. */
const MOST_XML = 100_000;

function wrappings(containers: readonly Container[]): Piece {
  return containers.map((container) => {
    switch (container.kind) {
      case "libvirt": {
        const { header, format, data } = container;
        return markup`<p>
            libvirt save image, version ${header.version}, format ${format}; the guest was
            ${header.wasRunning === 1 ? "running" : "paused"}.
          </p>
          <details>
            <summary>Domain XML (${exact(data.xml.length)} bytes)</summary>
            <pre>${longText(data.xml, MOST_XML)}</pre>
          </details>
          ${
            data.cookie !== undefined &&
            markup`<details>
              <summary>Cookie (${exact(data.cookie.length)} bytes)</summary>
              <pre>${longText(data.cookie, MOST_XML)}</pre>
            </details> `
          }`;
      }
      case "qcow2": {
        const { shown, left } = first(container.snapshots, 200);
        return table(
          markup`Snapshots of the qcow2 image (version ${container.version}); this is ${container.snapshot}`,
          [{ name: "id" }, { name: "snapshot" }, { name: "date" }, { name: "VM state", number: true }],
          shown.map(({ id, name, date, vmStateSize }) => [id, name, date, fileSize(vmStateSize)]),
          left > 0 && `${left} more snapshots are left out.`,
        );
      }
      case "xen": {
        const { shown, left } = first(container.records, 200);
        return table(
          markup`Records of Xen's save file (${container.format}); the stream is its device model's`,
          [{ name: "record" }, { name: "at byte" }, { name: "number", number: true }, { name: "bytes", number: true }],
          shown.map(({ name, offset, count, bytes }) => [name, address(offset), exact(count), exact(bytes)]),
          left > 0 && `${left} more are left out.`,
        );
      }
      case "foreign":
        return markup`<p>
          The stream begins after ${exact(container.length)} other bytes, at byte ${address(container.length)}.
        </p>
`;
      case "recording":
        return markup`<p>
          A recording: the channels of one migration${container.postcopy && ", which switched to postcopy"}. Offsets of
          sections, devices and damage count in the main channel or in the one stream that the channels make together
          (what <code>qevm convert</code> writes), not in a single file.
        </p>
`;
      default:
        return "";
    }
  });
}

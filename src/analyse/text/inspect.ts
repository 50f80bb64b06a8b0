import { counted } from "../explain/words.js";
import type { Inspection, PageCounts } from "../inspect/inspect.js";
import type { Container } from "../../io/container/types.js";
import { count, fileSize, grouped, memorySize, safe } from "../../bytes/text.js";
import { commandLines } from "./commands.js";
import { table, wrapped } from "./lines.js";
import { opaqueLines } from "./opaque.js";
import { most } from "./voice.js";

const COLUMNS: readonly (keyof PageCounts)[] = ["normal", "zero", "compressed", "xbzrle", "multifd", "mapped"];

/** The text report. */
export function inspectLines(file: string, inspection: Inspection, containers: readonly Container[] = []): string[] {
  const { ram, staleBytes, skippedBytes, trailingBytes } = inspection;
  const lines = [...headline(file, inspection), ...containers.flatMap(containerLines), ""];
  if (ram.blocks.length > 0) {
    const columns = COLUMNS.filter((column) => column === "normal" || column === "zero" || ram.pages[column] > 0);
    const total = ram.blocks.reduce((sum, block) => sum + block.blockLength, 0);
    lines.push(
      `RAM: ${ram.blocks.length} ${ram.blocks.length === 1 ? "block" : "blocks"}, ${memorySize(total)}, ${memorySize(inspection.pageSize)} pages`,
      ...table([
        ["block", "length", ...columns],
        ...ram.blocks.map((block) =>
          [safe(block.block), memorySize(block.blockLength)].concat(columns.map((c) => count(block[c]))),
        ),
      ]),
      "",
    );
  }
  lines.push(...sectionLines(inspection));
  lines.push(...commandLines(inspection));
  lines.push("", ...understood(inspection));
  if (staleBytes > 0) lines.push(`Left over, never read: ${fileSize(staleBytes)}`);
  if (skippedBytes > 0)
    lines.push(`Not read: ${fileSize(skippedBytes)} where the file has no page (qevm verify FILE reads it, too)`);
  if (trailingBytes > 0) lines.push(`After the stream: ${fileSize(trailingBytes)}, not part of it`);
  return lines;
}

function containerLines(container: Container): string[] {
  switch (container.kind) {
    case "libvirt": {
      const { header, format, data } = container;
      const texts = data.cookie === undefined ? [data.xml] : [data.xml, data.cookie];
      return [
        `libvirt save image, version ${header.version}, ${format}, the guest was ${header.wasRunning === 1 ? "running" : "paused"}`,
        ...texts.flatMap((xml) => xmlLines(xml)),
      ];
    }
    case "qcow2":
      return [
        `qcow2 image, version ${container.version}, VM state of snapshot ${safe(JSON.stringify(container.snapshot))}`,
        ...table(
          [
            ["id", "snapshot", "date", "VM state"],
            ...container.snapshots.map(({ id, name, date, vmStateSize }) => [
              safe(id),
              safe(name),
              date,
              fileSize(vmStateSize),
            ]),
          ],
          [0, 1],
        ),
      ];
    case "xen":
      return xenLines(container);
    case "foreign":
      return [`the stream begins after ${container.length} other bytes`];
    default:
      return [`inside ${container.kind}`];
  }
}

/** `xl save` writes a dozen kinds of records. */
const MOST_RECORDS = 40;

function xenLines({ format, domain, records }: Extract<Container, { kind: "xen" }>): string[] {
  const what = { xl: "xl save file", libvirt: "libvirt's save file", libxl: "libxl stream", record: "record" }[format];
  const of = domain === undefined ? "" : `, ${domain.type} guest of Xen ${domain.xen}`;
  const rows = records
    .slice(0, MOST_RECORDS)
    .map(({ name, offset, count: n, bytes }) => [name, `0x${offset.toString(16)}`, `${n}`, fileSize(bytes)]);
  return [
    `Xen's ${what}${of}: the stream is its device model's`,
    ...(rows.length === 0 ? [] : table([["record", "at byte", "number", "bytes"], ...rows], [0])),
    ...(records.length > MOST_RECORDS ? [`  ${counted(records.length - MOST_RECORDS, "kind")} more`] : []),
  ];
}

/** Maximum number of printed lines of a domain XML; libvirt writes some hundreds. */
const MOST_LINES = 10_000;

function xmlLines(xml: string): string[] {
  const text = xml.trimEnd();
  const lines: string[] = [];
  let at = 0;
  while (at <= text.length && lines.length < most(MOST_LINES)) {
    const end = text.indexOf("\n", at);
    lines.push(`  | ${safe(text.slice(at, end < 0 ? text.length : end))}`);
    at = end < 0 ? text.length + 1 : end + 1;
  }
  if (at <= text.length) lines.push(`  | ... ${fileSize(text.length - at)} more (-v shows all of it)`);
  return lines;
}

function headline(file: string, inspection: Inspection): string[] {
  const machine = inspection.machine === null ? "no configuration section" : `machine ${safe(inspection.machine)}`;
  const kind = inspection.evident.includes("postcopy-ram") ? "postcopy" : "precopy";
  const parts = ["QEMU migration stream", fileSize(inspection.streamLength), machine, kind];
  const capabilities = [...inspection.capabilities, ...inspection.evident.filter((c) => c !== "postcopy-ram")];
  if (capabilities.length > 0) parts.push(capabilities.map(safe).join(" "));
  parts.push(inspection.complete ? "complete" : "NOT complete");
  return wrapped(`${safe(file)}:`, parts);
}

function sectionLines({ sections, devices, footers }: Inspection): string[] {
  const iterative = new Map<string, { parts: number; records: Map<string, number> }>();
  let deviceBytes = 0;
  for (const section of sections) {
    if (section.type === "full") deviceBytes += section.sectionLength;
    if (section.type === "full" && section.recordCounts === undefined) continue;
    const at = iterative.get(section.section) ?? { parts: 0, records: new Map<string, number>() };
    iterative.set(section.section, at);
    at.parts++;
    for (const [kind, n] of Object.entries(section.recordCounts ?? {}))
      at.records.set(kind, (at.records.get(kind) ?? 0) + n);
  }
  const parts = [...iterative].map(([name, { parts: n, records }]) => {
    const kinds = [...records].map(([kind, of]) => `${kind} ${count(of)}`);
    return `${safe(name)} ${grouped(n)} ${n === 1 ? "part" : "parts"}${kinds.length === 0 ? "" : ` (${kinds.join(", ")})`}`;
  });
  parts.push(
    devices.length === 0
      ? "no devices decoded"
      : `${grouped(devices.length)} devices in ${fileSize(deviceBytes)} (qevm devices FILE)`,
  );
  return wrapped("Sections:", footers === false ? [...parts, "no footers"] : parts, "; ");
}

function catalogueLines({
  deviceCount: devices,
  catalogueBytes: bytes,
  uncertainBytes: uncertain,
  uncertainDeviceCount: uncertainDevices,
}: NonNullable<Inspection["catalogue"]>): string[] {
  const lines = [
    `Read by the catalogue: ${counted(devices, "device")}, ${fileSize(bytes)} that no VMDESCRIPTION describes`,
  ];
  if (uncertain > 0) {
    lines.push(`  uncertain: ${counted(uncertainDevices, "device")}, ${fileSize(uncertain)} (qevm devices FILE)`);
  }
  return lines;
}

function understood({
  opaqueBytes,
  namedBytes,
  undecoded,
  uncheckedPayloads: unchecked,
  catalogue,
}: Inspection): string[] {
  const lines: string[] = [];
  if (catalogue !== null) lines.push(...catalogueLines(catalogue));
  if (opaqueBytes === 0 && (catalogue?.uncertainBytes ?? 0) > 0) {
    lines.push("Understood: every byte but the uncertain ones");
  } else if (opaqueBytes === 0) {
    lines.push(
      unchecked === 0 ? "Understood: every byte" : "Understood: every byte but what is in the payloads of pages",
    );
  } else {
    lines.push(`Not understood: ${fileSize(opaqueBytes)}`);
    lines.push(...opaqueLines(undecoded));
  }
  if (unchecked > 0) {
    const payloads = unchecked === 1 ? "1 payload was" : `${grouped(unchecked)} payloads were`;
    lines.push(`Not checked: ${payloads} not decompressed (qevm verify FILE does so)`);
  }
  if (namedBytes > 0) lines.push(`  of which ${fileSize(namedBytes)} in device-private fields kept by name`);
  return lines;
}

import type { SectionItem } from "../../codec/stream/index.js";
import { fileSize, hexOf, memorySize } from "../../bytes/text.js";
import {
  isRecordValue,
  isStructState,
  isTreeNode,
  type FieldValue,
  type StructState,
} from "../../codec/vmstate/index.js";
import { registerName } from "../../guest/cores/register-names.js";
import { markup, type Html, type Piece } from "./html.js";
import { address, exact, type Part } from "./parts.js";
import type { ReportFacts } from "./types.js";

/** Characters of markup that all devices may take together, and one. */
const MOST_DEVICES = 3 << 20;
const MOST_DEVICE = 256 << 10;
/** Devices that are listed. */
const MOST_LISTED = 1000;
/** Elements of an array, and bytes of a buffer, that are shown. */
const MOST_ELEMENTS = 32;
const MOST_BYTES = 64;

/** All device state as trees that open. */
export function devicesPart(facts: ReportFacts): Part {
  const devices = [...facts.devices, ...facts.afterDamage];
  if (devices.length === 0)
    return {
      id: "devices",
      heading: "Devices",
      body: markup`<p>No device was reached.</p>
`,
    };
  const shelf = new Shelf(facts.inspection.machine);
  const trees = devices.slice(0, MOST_LISTED).map((item, i) => shelf.device(item, i >= facts.devices.length));
  const left = devices.length - trees.length;
  const notes: Piece[] = [];
  if (shelf.shortened)
    notes.push(
      markup`<p class="note">
        Shortened: arrays of more than ${MOST_ELEMENTS} elements, buffers of more than ${MOST_BYTES} bytes, and what
        goes beyond ${memorySize(MOST_DEVICE)} of text a device or ${memorySize(MOST_DEVICES)} for all. What was left out is
        counted in its place; <code>qevm devices FILE NAME --json</code> prints all of it.
      </p>
`,
    );
  if (left > 0)
    notes.push(
      markup`<p class="note">${exact(left)} more devices are left out: <code>qevm devices FILE</code> lists all.</p>
`,
    );
  return { id: "devices", heading: `Devices (${exact(devices.length)})`, body: [notes, grouped(devices, trees)] };
}

/** In what order groups come; a group without devices is left out. */
const GROUPS = ["Processors", "PCI devices", "Other buses", "Machine"] as const;

/** Which part of the machine a section belongs to, by its name: PCI and other buses put an address before it. */
function groupOf(name: string): (typeof GROUPS)[number] {
  if (/^(?:cpu|cpu_common|apic|apic_common|kvmclock|cpu\/.*)$/u.test(name)) return "Processors";
  if (/^(?:[0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]\b/u.test(name)) return "PCI devices";
  return name.includes("/") ? "Other buses" : "Machine";
}

function grouped(devices: readonly SectionItem[], trees: readonly Html[]): Piece[] {
  return GROUPS.map((group) => {
    const mine = trees.filter((_, i) => groupOf(devices[i]!.idstr) === group);
    return (
      mine.length > 0 &&
      markup`<details class="group" open>
        <summary><h3>${group} (${exact(mine.length)})</h3></summary>
        ${mine}
      </details> `
    );
  });
}

/** Makes trees until there is no more room. */
class Shelf {
  shortened = false;
  private room = MOST_DEVICES;
  private left = 0;
  /** The section whose tree is made, and where in it: names of registers are by both. */
  private section = "";
  private path: string[] = [];

  /** @param machine machine type; null: not known */
  constructor(private readonly machine: string | null) {}

  device({ idstr, instanceId, versionId, offset, content }: SectionItem, afterDamage: boolean): Html {
    const length = content.kind === "device" ? content.length : content.kind === "opaque" ? content.bytes.length : 0;
    this.left = Math.min(MOST_DEVICE, this.room);
    const before = this.left;
    this.section = idstr;
    this.path = [];
    const body = this.body(content);
    this.room -= before - this.left;
    return markup`<details class="device">
      <summary>
        <code>${idstr}/${instanceId}</code>
        <span class="dim"
          >version ${versionId}, at byte ${address(offset)},
          ${fileSize(length)}${content.kind === "opaque" && ", not understood"}${afterDamage && ", found after the damage"}</span
        >
      </summary>
      ${body}
    </details> `;
  }

  private body(content: SectionItem["content"]): Piece {
    if (content.kind === "opaque")
      return markup`<p>Not understood: ${content.reason}.</p>
`;
    if (content.kind !== "device")
      return markup`<p>A section of records: see the table of sections.</p>
`;
    const { fields, subsections } = content.state;
    if (Object.keys(fields).length === 0 && subsections.length === 0)
      return markup`<p>It has no fields.</p>
`;
    return this.struct(content.state);
  }

  /** A list of fields, and of subsections after them. */
  private struct({ fields, subsections }: StructState): Piece {
    const entries = Object.entries(fields);
    const rows: Piece[] = [];
    for (const [name, value] of entries) {
      if (this.left <= 0) return this.cut(rows, entries.length + subsections.length - rows.length);
      rows.push(this.entry(name, value));
    }
    for (const subsection of subsections) {
      if (this.left <= 0) return this.cut(rows, entries.length + subsections.length - rows.length);
      const name = subsection.description.vmsdName ?? "";
      rows.push(this.nested(markup`subsection <b>${name}</b>`, this.struct(subsection)));
    }
    return markup`<ul>
      ${rows}
    </ul>
`;
  }

  private cut(rows: readonly Piece[], n: number): Html {
    this.shortened = true;
    return markup`<ul>
      ${rows}
      <li class="note">${exact(n)} more left out</li>
    </ul>
`;
  }

  private entry(name: string, value: FieldValue): Html {
    this.path.push(name);
    try {
      return this.valued(name, value);
    } finally {
      this.path.pop();
    }
  }

  /** The register that the value, or an element of it, belongs to. */
  private register(element?: number): string | undefined {
    const path = this.path.join(".").replaceAll(".[", "[");
    return registerName(this.machine, this.section, element === undefined ? path : `${path}[${element}]`);
  }

  private valued(name: string, value: FieldValue): Html {
    if (isStructState(value)) return this.nested(markup`<b>${name}</b>`, this.struct(value));
    if (isRecordValue(value)) return this.nested(markup`<b>${name}</b>`, this.members(value.record));
    if (isTreeNode(value))
      return this.nested(markup`<b>${name}</b>`, this.members({ key: value.key, value: value.value }));
    if (Array.isArray(value) && value.some((element) => isNested(element)))
      return this.nested(
        markup`<b>${name}</b> <span class="dim">${value.length === 1 ? "1 element" : `${exact(value.length)} elements`}</span>`,
        this.elements(value),
      );
    const register = this.register();
    return this
      .spend(markup`<li><b>${name}</b> <code>${this.plain(value)}</code>${register !== undefined && markup` <i>${register}</i>`}</li>
`);
  }

  private members(record: Record<string, FieldValue>): Piece {
    const rows = Object.entries(record).map(([name, value]) => (this.left > 0 ? this.entry(name, value) : this.gone()));
    return markup`<ul>
      ${rows}
    </ul>
`;
  }

  private gone(): Piece {
    this.shortened = true;
    return "";
  }

  private elements(values: readonly FieldValue[]): Piece {
    const rows: Piece[] = [];
    for (const [i, value] of values.entries()) {
      if (i >= MOST_ELEMENTS || this.left <= 0) return this.cut(rows, values.length - i);
      rows.push(this.entry(`[${i}]`, value));
    }
    return markup`<ul>
      ${rows}
    </ul>
`;
  }

  private nested(summary: Html, body: Piece): Html {
    this.left -= summary.text.length + 60;
    return markup`<li>
      <details>
        <summary>${summary}</summary>
        ${body}
      </details>
    </li>
`;
  }

  private spend(shown: Html): Html {
    this.left -= shown.text.length;
    return shown;
  }

  /** One value in the notation of `qevm devices`. */
  private plain(value: FieldValue): Piece {
    if (value instanceof Uint8Array) {
      return [hexOf(value.subarray(0, MOST_BYTES)), this.more(value.length - MOST_BYTES, "bytes")];
    }
    if (Array.isArray(value)) {
      const shown = value.slice(0, MOST_ELEMENTS).map((element, i) => {
        const register = this.register(i);
        return register === undefined ? this.plain(element) : [this.plain(element), markup` <i>${register}</i>`];
      });
      return [
        shown.map((piece, i) => (i === 0 ? piece : [" ", piece])),
        this.more(value.length - MOST_ELEMENTS, "elements"),
      ];
    }
    if (typeof value === "bigint") return value < 0n ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
    if (typeof value === "string") return value;
    return typeof value === "number" || typeof value === "boolean" ? `${value}` : "null";
  }

  private more(n: number, what: string): Piece {
    if (n <= 0) return undefined;
    this.shortened = true;
    return markup` <i>... and ${exact(n)} more ${what}</i>`;
  }
}

function isNested(value: FieldValue): boolean {
  if (Array.isArray(value)) return value.some(isNested);
  return isStructState(value) || isRecordValue(value) || isTreeNode(value);
}

/**
 * Arguments for QEMU in a domain XML, beside those that libvirt makes itself. Source: libvirt's documentation of the
 * domain XML, "QEMU command-line pass-through" (`qemu:commandline`) and "QEMU device override" (`qemu:override`, 8.2
 * and later).
 */
const NAMESPACE = "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'";

/**
 * A domain XML with more arguments: `-global` as they are, and `-set device.ID.PROPERTY=VALUE` as the override of the
 * device with that alias, since libvirt's own arguments are JSON, which `-set` does not reach. Others are left out:
 * the XML says which devices there are. XML without a `domain` is returned as it is.
 */
export function withQemuArguments(xml: string, args: readonly string[]): string {
  const globals: string[] = [];
  const devices = new Map<string, string[]>();
  for (const [i, word] of args.entries()) {
    const value = args[i + 1] ?? "";
    if (word === "-global") globals.push(argument(word), argument(value));
    const [, id = "", name = "", wanted = ""] = (word === "-set" ? SET : NOTHING).exec(value) ?? [];
    if (id !== "") devices.set(id, [...(devices.get(id) ?? []), property(name, wanted)]);
  }
  if (globals.length === 0 && devices.size === 0) return xml;
  const overrides = [...devices].map(
    ([id, lines]) =>
      `    <qemu:device alias='${escaped(id)}'>\n      <qemu:frontend>\n${lines.join("")}      </qemu:frontend>\n    </qemu:device>\n`,
  );
  return named(inside(inside(xml, "qemu:commandline", globals), "qemu:override", overrides));
}

const SET = /^device\.([^.]+)\.([^=]+)=(.*)$/u;
const NOTHING = /^$(.)/u;

function argument(value: string): string {
  return `    <qemu:arg value='${escaped(value)}'/>\n`;
}

function property(name: string, value: string): string {
  const [type, is] = /^\d+$/u.test(value)
    ? ["unsigned", value]
    : /^(?:on|off)$/u.test(value)
      ? ["bool", String(value === "on")]
      : ["string", value];
  return `        <qemu:property name='${escaped(name)}' type='${type}' value='${escaped(is)}'/>\n`;
}

/** Lines at the end of an element of the domain, which is made where it is not there. */
function inside(xml: string, element: string, lines: readonly string[]): string {
  if (lines.length === 0) return xml;
  const at = xml.lastIndexOf(`</${element}>`);
  if (at >= 0) {
    const start = xml.lastIndexOf("\n", at) + 1;
    // The indentation of the end belongs to it.
    const place = xml.slice(start, at).trim() === "" ? start : at;
    return xml.slice(0, place) + lines.join("") + xml.slice(place);
  }
  const end = xml.lastIndexOf("</domain>");
  if (end < 0) return xml;
  return `${xml.slice(0, end)}  <${element}>\n${lines.join("")}  </${element}>\n${xml.slice(end)}`;
}

/** With the namespace, where the domain does not have it. */
function named(xml: string): string {
  return xml.includes("xmlns:qemu=") ? xml : xml.replace(/<domain\b/u, `<domain ${NAMESPACE}`);
}

/** A text in an attribute. */
export function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll("'", "&apos;")
    .replaceAll('"', "&quot;");
}

/**
 * Texts about commands, postcopy and multifd channels. Source: QEMU migration/savevm.c, migration/multifd.c,
 * migration/channel.c (5.2 to 11.1).
 */
import { hex } from "../../../bytes/errors.js";
import { damageNote, damageOffset, elsewhere, verify, type Answer, type Context, type Parts } from "../context.js";
import { at, quoted } from "../words.js";
import type { Remedy } from "../types.js";

const SWITCHOVER_START = 0x0b;

/** "MIG_CMD 0xb unknown (len 0x0)". */
export function unknownCommand({ number = "0" }: Parts, context: Context): Answer {
  const value = Number.parseInt(number, 16);
  const { commands } = context.survey.inspection;
  const command = value === SWITCHOVER_START ? commands.find(({ name }) => name === "SWITCHOVER_START") : undefined;
  return {
    about: { streamOffset: command?.streamOffset ?? damageOffset(context), value: hex(value) },
    here:
      command === undefined ? damageNote(context) : `the command SWITCHOVER_START (0xb) is ${at(command.streamOffset)}`,
    why:
      value === SWITCHOVER_START
        ? "QEMU knows SWITCHOVER_START since 10.0; machine types up to 9.2 do not send it (property send-switchover-start)"
        : "no QEMU has a command of this number: the bytes are damaged, or the loader lost its place in the section before",
    remedies:
      value === SWITCHOVER_START
        ? {
            what: "load it in 10.0 or later; a source of a machine type up to 9.2, or with -global migration.send-switchover-start=off, does not send it",
          }
        : verify(context),
  };
}

/** "PING received with bad length - expecting 4, got 2". */
export function commandLength({ command = "", expected = "", received = "" }: Parts, context: Context): Answer {
  const found = context.survey.inspection.commands.find(({ name }) => name === command);
  return {
    about: {
      streamOffset: damageOffset(context) ?? found?.streamOffset,
      value: Number(received),
      local: Number(expected),
    },
    here: damageNote(context),
    why: `the command ${command} has ${expected} bytes of payload in every QEMU, and ${received} were announced: the bytes are damaged`,
    remedies: verify(context),
  };
}

function adviseOf({ survey }: Context): Context["survey"]["inspection"]["commands"][number] | undefined {
  return survey.inspection.commands.find(({ name }) => name === "POSTCOPY_ADVISE");
}

function adviseWords(context: Context): string {
  const advise = adviseOf(context);
  if (advise === undefined) return `this file has no command POSTCOPY_ADVISE${elsewhere(context)}`;
  const said = Object.entries(advise)
    .flatMap(([key, value]) =>
      key !== "streamOffset" && key !== "name" && (typeof value === "string" || typeof value === "number")
        ? [`${key} ${value}`]
        : [],
    )
    .join(", ");
  return `the command POSTCOPY_ADVISE is ${at(advise.streamOffset)}${said === "" ? ", without page sizes (dirty bitmaps only)" : `: ${said}`}`;
}

/** "Postcopy needs matching RAM page sizes (s=2000 d=1000)", "... target page sizes (s=8192 d=4096)". */
export function postcopyPages({ what = "RAM", received = "", local = "" }: Parts, context: Context): Answer {
  const advise = adviseOf(context);
  return {
    about: { streamOffset: advise?.streamOffset, value: received, local },
    here: adviseWords(context),
    why:
      what === "RAM"
        ? `the page sizes of the memory backends together must be equal: the source's are 0x${received}, the destination's 0x${local} (huge pages at one end only)`
        : `the guest's page size must be equal: ${received} at the source, ${local} at the destination`,
    remedies: {
      what:
        what === "RAM"
          ? "give the destination backends with the source's page sizes (memory-backend-file on hugetlbfs, memory-backend-memfd,hugetlb=on)"
          : "use the source's machine type and CPU",
    },
  };
}

/** "RAM postcopy is disabled but have 16 byte advise", "RAM postcopy is enabled but have 0 byte advise". */
export function postcopyCapability({ state = "disabled" }: Parts, context: Context): Answer {
  const advise = adviseOf(context);
  const on = state === "disabled";
  return {
    about: { streamOffset: advise?.streamOffset },
    here: adviseWords(context),
    why: on
      ? "the source had the capability postcopy-ram on, and announced its page sizes; the destination must have it on, too"
      : "the source had postcopy-ram off; it must be off at the destination",
    remedies: [
      {
        what: `set it ${on ? "on" : "off"} at the destination`,
        monitor: [`migrate_set_capability postcopy-ram ${on ? "on" : "off"}`],
      },
      on && withoutPostcopy(context),
    ],
  };
}

/** A recording of a migration with postcopy can be made one plain stream. */
function withoutPostcopy({ file, containers }: Context): Remedy {
  return containers.includes("recording")
    ? { what: "or make one plain stream of the recording", command: ["qevm", "convert", file, "--out", "NEW"] }
    : {
        what: "or make a plain stream with one round of it, which announces nothing",
        command: ["qevm", "convert", file, "--out", "NEW", "--flatten"],
      };
}

/** "CMD_POSTCOPY_LISTEN in wrong postcopy state (0)", "CMD_PING (0x1) received with no return path". */
export function commandState({ command = "" }: Parts, context: Context): Answer {
  const name = command.replace(/^CMD_/u, "");
  const found = context.survey.inspection.commands.find((one) => one.name === name);
  return {
    about: { streamOffset: found?.streamOffset },
    here: found === undefined ? `this file has no command ${name}` : `the command ${name} is ${at(found.streamOffset)}`,
    why: "the loader takes postcopy's commands in one order only: ADVISE, DISCARD, LISTEN, RUN; and PING only after OPEN_RETURN_PATH. A command is missing before it, or comes twice",
  };
}

/**
 * "multifd: received packet magic 5145564d expected 11223344", and other reasons to refuse a channel's first packets.
 */
export function multifd({ received, local }: Parts, context: Context): Answer {
  const { survey, containers, file } = context;
  const recording = containers.includes("recording");
  const remedies: Remedy[] = recording
    ? [
        {
          what: "send every channel of the recording over a connection of its own, to a destination with multifd and as many channels",
          command: ["qevm", "send", file, "URI", "--channels"],
        },
        { what: "or make one plain stream of it", command: ["qevm", "convert", file, "--out", "NEW"] },
      ]
    : [{ what: "leave multifd off at the destination", monitor: ["migrate_set_capability multifd off"] }];
  return {
    about: { value: received, local },
    here: recording
      ? "the file is a recording with several channels"
      : `the file is a single stream, with no multifd channel beside it${survey.configuration === undefined ? "" : ` (machine type ${quoted(survey.configuration.value.machine)})`}`,
    why: "with the capability multifd on a destination expects as many more connections as multifd-channels says, each beginning 11 22 33 44; a stream that is given through a pipe, or connections of a source without it or of another number, do not fit",
    remedies,
  };
}

/** "multifd is not supported by current protocol". */
export function multifdProtocol(_: Parts, context: Context): Answer {
  const answer = multifd({}, context);
  return {
    ...answer,
    why: "with the capability multifd on QEMU takes tcp:, unix:, and (9.0 on) file: with mapped-ram, but not exec: and fd: of a pipe: several connections are needed",
  };
}

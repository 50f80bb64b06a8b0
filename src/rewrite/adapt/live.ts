import { QevmError } from "../../bytes/errors.js";
import { MemorySource, type ByteSink, type ByteSource } from "../../bytes/source.js";
import { StreamReader, type Command, type StreamItem, type StreamOptions } from "../../codec/stream/index.js";
import { reportOf, withSource, type Reopened } from "./adapt.js";
import { planAdapt, planSetup } from "./plan.js";
import { Surveyor, surveyPattern } from "./survey.js";
import type { AdaptPlan, AdaptReport, PatternFacts, Section, Survey } from "./types.js";
import { writeStage, type Planning, type WriteOptions } from "./write.js";

/** How a guest is adapted while it migrates. */
export interface PassingOptions {
  /** Names of rules whose changes are taken although the guest may notice; `all` takes every one. */
  readonly accept?: readonly string[] | undefined;
  /** What is known of the destination beside its pattern: see `askPattern`. */
  readonly facts?: PatternFacts | undefined;
  /**
   * Called when it is known what is changed, before the end of the stream is written; also where something is refused,
   * which the error says after it.
   */
  readonly onPlan?: ((report: AdaptReport) => void) | undefined;
}

/**
 * Adapts a stream on its way. What comes before the pages is written when the block list has come, and nothing before
 * it; the pages as they come; the device part is held, and is planned when all of it has come. Memory: the device part,
 * which `limits.deviceBytes` bounds.
 */
export class PassingAdapt {
  private constructor(
    private readonly like: Reopened,
    private readonly pattern: Survey,
    private readonly options: PassingOptions,
  ) {}

  /** Errors: as `survey`, for the pattern. */
  static async prepare(like: Reopened, options: PassingOptions): Promise<PassingAdapt> {
    const pattern = await withSource(like, surveyPattern);
    // A guest stands still while it is planned: a second plan takes a quarter of the time of the first.
    planAdapt(pattern, pattern, options.facts);
    return new PassingAdapt(like, pattern, options);
  }

  /**
   * Refuses what the first bytes of a stream show already: `write` does it again, and where they are not enough. Errors:
   * does-not-fit, unsupported.
   */
  async look(head: Uint8Array, stream: StreamOptions = {}): Promise<void> {
    const reader = new StreamReader(new MemorySource(head), stream);
    const plans = new PassingPlan(reader, this.pattern, this.options);
    try {
      for await (const item of reader) {
        plans.item(item);
        if (item.kind !== "section" || item.content.kind !== "ram") continue;
        for await (const _ of item.records()) return void plans.setup();
      }
    } catch (error) {
      const refused = error instanceof QevmError && (error.code === "does-not-fit" || error.code === "unsupported");
      if (refused) throw error;
    }
  }

  /**
   * Writes the stream; the sink is not ended. Where something is refused its end is not written.
   * Errors: as `survey` and `writeAdapted`; does-not-fit where something is refused; unsupported (postcopy, COLO).
   */
  async write(source: ByteSource, sink: ByteSink, options: WriteOptions): Promise<AdaptReport> {
    const { like } = this;
    let opened: ByteSource | undefined;
    let plans: PassingPlan | undefined;
    const make = (reader: StreamReader): Planning => (plans = new PassingPlan(reader, this.pattern, this.options));
    try {
      const streamLength = await writeStage(make, source, async () => (opened = await like.open()), sink, options);
      return { ...plans!.report!, streamLength };
    } finally {
      await opened?.close?.();
    }
  }
}

/** The plan of a stream that has not come yet. */
class PassingPlan implements Planning {
  report: AdaptReport | undefined;
  private readonly surveyor: Surveyor;
  private chunked = 0;
  private begun = false;

  constructor(
    reader: StreamReader,
    readonly pattern: Survey,
    private readonly options: PassingOptions,
  ) {
    this.surveyor = new Surveyor(reader);
  }

  setup(): AdaptPlan {
    const plan = planSetup(this.surveyor.sofar, this.pattern, this.options.facts);
    this.refuse(reportOf(plan, this.options), "nothing of the stream was sent");
    this.begun = true;
    return plan;
  }

  item(item: StreamItem): Command | undefined {
    this.surveyor.item(item);
    if (item.kind === "trailing") {
      throw new QevmError("bad-length", "bytes after the end of the stream", { offset: item.offset, found: item.what });
    }
    if (item.kind === "command") return passed(item);
    const { length } = this.surveyor.sofar.chunked;
    // State that comes in parts is not written, which the guest may need.
    if (this.begun && length > this.chunked) this.setup();
    this.chunked = length;
    return undefined;
  }

  devices(): readonly Section[] {
    const plan = planAdapt(this.surveyor.all(), this.pattern, this.options.facts);
    this.report = reportOf(plan, this.options);
    this.refuse(this.report, "the end of the stream was not sent");
    this.options.onPlan?.(this.report);
    return plan.sections;
  }

  private refuse(report: AdaptReport, sent: string): void {
    if (report.enough) return;
    this.options.onPlan?.(report);
    const [{ where, reason, streamOffset: offset }] = report.refused as [AdaptReport["refused"][0]];
    const more = report.refused.length === 1 ? "" : ` (and ${report.refused.length - 1} more)`;
    const what = `the guest does not fit the destination, ${sent}: ${where}: ${reason}${more}`;
    throw new QevmError("does-not-fit", what, { offset });
  }
}

/** Commands for the destination's connection, not for its devices. */
function passed({ command, name, offset }: StreamItem & { kind: "command" }): Command | undefined {
  switch (command.name) {
    case "OPEN_RETURN_PATH":
    case "PING":
      return command;
    case "SWITCHOVER_START":
      // For devices that load in channels of their own, which no plan has; QEMU knows it since 10.0.
      return undefined;
    case "POSTCOPY_ADVISE": {
      const what = "no guest is adapted on its way where postcopy may follow: a package's length is sent before it";
      throw new QevmError("unsupported", what, { offset, expected: "a source without postcopy-ram" });
    }
    default:
      throw new QevmError("unsupported", `the command ${name} in a stream that is adapted on its way`, { offset });
  }
}

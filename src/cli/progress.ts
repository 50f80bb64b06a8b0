import { fileSize } from "../bytes/text.js";
import { voice } from "../analyse/text/voice.js";

/** Milliseconds before the line is shown, and between two of its texts. */
const FIRST = 500;
const BETWEEN = 200;

function two(n: number): string {
  return String(n).padStart(2, "0");
}

/** `1:02:03`, `2:03`, `3 s`. */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  return minutes < 60
    ? `${minutes}:${two(whole % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`;
}

/**
 * The text of a progress line: bytes, share, rate and time left, as far as they are known.
 * @param bytes bytes so far; more than `total` where the input is read twice
 * @param total bytes of the input
 * @param seconds time so far
 */
export function progressText(what: string, bytes: number, total: number | undefined, seconds: number): string {
  const rate = seconds > 0 ? bytes / seconds : 0;
  const known = total !== undefined && total > 0 && bytes <= total;
  const share = known ? ` of ${fileSize(total)} (${Math.floor((bytes * 100) / total)} %)` : "";
  const speed = rate > 0 ? `, ${fileSize(rate)}/s` : "";
  const left = known && rate > 0 ? `, ${duration((total - bytes) / rate)} left` : "";
  return `${what}: ${fileSize(bytes)}${share}${speed}${left}`;
}

/** Progress in a line on stderr, only on a terminal; with `--verbose` a last line says what was read, and how fast. */
export class Progress {
  readonly #what: string;
  readonly #total: number | undefined;
  readonly #show = process.stderr.isTTY && !voice.quiet;
  #start = Date.now();
  #next = this.#start + FIRST;
  #bytes = 0;
  #shown = false;
  #ended = false;

  constructor(what: string, total: number | undefined) {
    this.#what = what;
    this.#total = total;
  }

  /** Counts bytes, and returns them. */
  add(n: number): number {
    this.#bytes += n;
    if (!this.#show || Date.now() < this.#next) return n;
    this.#next = Date.now() + BETWEEN;
    this.#shown = true;
    process.stderr.write(`\r\u001b[K${progressText(this.#what, this.#bytes, this.#total, this.#seconds())}`);
    return n;
  }

  /** Another pass over the input begins. */
  restart(): void {
    this.#start = Date.now();
    this.#bytes = 0;
  }

  /** Removes the line. */
  end(): void {
    if (this.#shown) process.stderr.write("\r\u001b[K");
    this.#shown = false;
    if (this.#ended || !voice.verbose || this.#bytes === 0) return;
    this.#ended = true;
    const seconds = this.#seconds();
    const rate = seconds > 0 ? ` (${fileSize(this.#bytes / seconds)}/s)` : "";
    process.stderr.write(`${this.#what}: ${fileSize(this.#bytes)} in ${seconds.toFixed(1)} s${rate}\n`);
  }

  #seconds(): number {
    return (Date.now() - this.#start) / 1000;
  }
}

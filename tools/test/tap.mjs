// Parses tape's TAP output line by line: counts, failures in full, skipped tests with their reasons.

/** The results of one test file so far. */
export class TapReader {
  passed = 0;
  failed = 0;
  /** Failures in full: the test's name, the `not ok` line and its YAML block. */
  failures = [];
  /** Tests that were skipped (or marked as todo), with the printed reason. */
  skipped = [];
  /** The number of assertions that the file reported at its end; undefined when it did not get there. */
  plan = undefined;
  #rest = "";
  #test = "";
  #failure = undefined;

  write(text) {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop();
    for (const line of lines) this.#line(line);
  }

  end() {
    if (this.#rest !== "") this.#line(this.#rest);
    this.#rest = "";
    this.#close();
  }

  #line(line) {
    if (this.#failure !== undefined && line.startsWith("  ")) {
      this.#failure.push(line);
      if (line === "  ...") this.#close();
      return;
    }
    this.#close();
    const plan = /^1\.\.(\d+)$/u.exec(line);
    if (plan !== null) this.plan = Number(plan[1]);
    else if (line.startsWith("# SKIP ")) this.skipped.push(line.slice(7));
    else if (line.startsWith("# ")) this.#test = line;
    else if (/^(not )?ok \d+/u.test(line)) this.#assertion(line);
  }

  #assertion(line) {
    const passing = line.startsWith("ok");
    const directive = / # (SKIP|TODO)\b/u.exec(line);
    if (directive !== null) this.skipped.push(line.replace(/^(not )?ok \d+ /u, ""));
    else if (passing) this.passed++;
    else {
      this.failed++;
      this.#failure = [this.#test, line];
    }
  }

  #close() {
    if (this.#failure !== undefined) this.failures.push(this.#failure.join("\n"));
    this.#failure = undefined;
  }
}

import test from "tape";
import { Diagnostics, hex, QevmError } from "../src/bytes/errors.js";

test("an error has offset, path, expected and found", (t) => {
  const error = new QevmError("bad-footer", "the footer names another section", {
    offset: 0x1a5ae3d,
    path: ['section 2 "ram"', "part 3"],
    expected: "2",
    found: "9",
    cause: new Error("deeper"),
  });
  t.equal(
    error.message,
    'at byte 0x1a5ae3d, section 2 "ram" > part 3: the footer names another section (expected 2, found 9)',
  );
  t.equal(error.what, "the footer names another section");
  t.equal(error.name, "QevmError");
  t.ok(error instanceof Error && error.cause instanceof Error, "the cause is kept");
  t.deepEqual(JSON.parse(JSON.stringify(error)), {
    code: "bad-footer",
    message: "the footer names another section",
    streamOffset: 0x1a5ae3d,
    path: ['section 2 "ram"', "part 3"],
    expected: "2",
    found: "9",
  });
  t.end();
});

test("an error has only the known parts", (t) => {
  t.equal(new QevmError("usage", "no such file").message, "no such file");
  t.equal(new QevmError("bad-value", "odd", { offset: 0 }).message, "at byte 0x0: odd");
  t.equal(new QevmError("bad-value", "odd", { path: ["header"] }).message, "header: odd");
  t.equal(new QevmError("bad-value", "odd", { expected: "1" }).message, "odd (expected 1)");
  t.equal(new QevmError("bad-value", "odd", { found: "2" }).message, "odd (found 2)");
  t.equal(new QevmError("bad-value", "odd").cause, undefined);
  t.equal(hex(2n ** 64n - 1n), "0xffffffffffffffff");
  t.end();
});

test("the same anomaly is an error when strict and a warning when lenient", (t) => {
  const anomaly = new QevmError("bad-footer", "no footer", { offset: 7, path: ["section 1"] });
  const strict = new Diagnostics();
  t.throws(() => strict.anomaly(anomaly), anomaly);
  t.deepEqual(strict.warnings, []);
  strict.warn(anomaly);
  t.equal(strict.warnings.length, 1, "a mere warning is remembered in both modes");

  const lenient = new Diagnostics({ lenient: true });
  lenient.anomaly(anomaly);
  t.deepEqual(lenient.warnings, [
    { code: "bad-footer", message: "no footer", offset: 7, path: ["section 1"], skipped: true },
  ]);
  t.end();
});

test("a hostile stream cannot fill memory with warnings", (t) => {
  const lenient = new Diagnostics({ lenient: true, maxWarnings: 3 });
  for (let i = 0; i < 10; i++) lenient.anomaly(new QevmError("bad-value", `number ${i}`));
  t.equal(lenient.warnings.length, 3);
  t.equal(lenient.dropped, 7);
  t.end();
});

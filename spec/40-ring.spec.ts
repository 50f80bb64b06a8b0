/** The ring of batches that threads share, with two threads' steps put between each other by hand. */
import test from "tape";
import { QevmError } from "../src/bytes/errors.js";
import { helpedThreads, ThreadPool } from "../src/io/threads/index.js";
import { Ring, type RingShape, type Slot } from "../src/io/threads/ring.js";

const SHAPE: RingShape = { slots: 4, capacity: 1, input: 64, output: 64 };

/** Runs `step` when the control word `index` has been read for the first time. */
function between(index: number, step: () => void, run: () => void): void {
  const { load } = Atomics;
  let armed = true;
  const stepping = ((array: Int32Array, at: number) => {
    const value = load(array, at);
    if (armed && at === index) {
      armed = false;
      step();
    }
    return value;
  }) as typeof Atomics.load;
  Atomics.load = stepping;
  try {
    run();
  } finally {
    Atomics.load = load;
  }
}

for (const before of [0, 1, 2]) {
  test(`a batch is claimed once, and only when it was published: ${before} before it`, (t) => {
    const shared = Ring.allocate(SHAPE);
    const [owner, other, worker] = [new Ring(shared), new Ring(shared), new Ring(shared)];
    for (let k = 0; k < before; k++) {
      owner.publish(owner.slot(k));
      t.equal(other.claim(false)?.index, k);
    }
    // The worker looks and is held up; meanwhile a batch is published, and the other takes it.
    const claimed: (number | undefined)[] = [];
    between(
      0,
      () => {
        owner.publish(owner.slot(before));
        claimed.push(other.claim(false)?.index);
      },
      () => claimed.push(worker.claim(false)?.index),
    );
    t.deepEqual(claimed, [before, undefined], "nothing is left for the worker");
    owner.publish(owner.slot(before + 1));
    t.equal(worker.claim(false)?.index, (before + 1) % SHAPE.slots, "the next one is");
    t.equal(other.claim(false), undefined);
    t.end();
  });
}

test("numbers of batches may run over", (t) => {
  const shared = Ring.allocate(SHAPE);
  const control = new Int32Array(shared.buffer, 0, 2);
  control.fill(0x7ffffffe);
  const [owner, worker] = [new Ring(shared), new Ring(shared)];
  for (let ticket = 0x7ffffffe; ticket < 0x80000004; ticket++) {
    t.equal(worker.claim(false), undefined, "none yet");
    owner.publish(owner.slot(ticket));
    t.equal(worker.claim(false)?.index, ticket % SHAPE.slots);
  }
  t.end();
});

test("threads are chosen by the processors that the process may use", async (t) => {
  t.deepEqual(
    [1, 2, 4, 16].map((processors) => helpedThreads(2, processors)),
    [0, 1, 2, 2],
    "the owner works too, and alone on one",
  );
  t.equal(helpedThreads(64, 100), 64);
  for (const asked of [0, 65, 1.5]) t.throws(() => helpedThreads(asked, 1), QevmError, `${asked} threads`);
  const shape = { ...SHAPE, slots: 2 };
  const work = {
    run: (slot: Slot) => {
      if (slot.tag === 3) throw new QevmError("bad-value", "a batch");
      slot.length = slot.tag * 10;
    },
  };
  const script = new URL("none.js", import.meta.url);
  const pool = await ThreadPool.start({ threads: 0, shape, script, data: undefined, work });
  const put = (tag: number): void => {
    const slot = pool.open()!;
    slot.tag = tag;
    pool.publish(slot);
  };
  put(1);
  put(2);
  t.equal(pool.open(), undefined, "all are in use");
  t.equal(pool.isBack, false, "nobody has worked yet");
  const first = pool.take();
  t.equal(first.length, 10);
  pool.release(first);
  put(3);
  const second = await pool.taken();
  t.equal(second.length, 20, "and while the event loop runs");
  pool.release(second);
  const failed: unknown = await pool.taken().catch((error: unknown) => error);
  t.ok(failed instanceof QevmError && failed.what === "a batch", "an error comes back, too");
  await pool.close();
  t.throws(() => ThreadPool.begin({ threads: 0, shape, script, data: undefined }), QevmError, "someone has to work");
});

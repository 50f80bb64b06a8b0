/** The ring of batches that threads share, with two threads' steps put between each other by hand. */
import test from "tape";
import { Ring, type RingShape } from "../src/io/threads/ring.js";

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

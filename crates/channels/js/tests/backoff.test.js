import assert from "node:assert/strict";
import { test } from "node:test";
import { backoff, RECONNECT_DELAYS, REJOIN_DELAYS } from "../wingbeat.js";

/** @param {readonly number[]} delays */
const withoutJitter = (delays) => Array.from({ length: delays.length + 2 }, (_, at) => backoff(delays, 0)(at + 1));

test("ch_j1_reconnect_delays", () => {
  assert.deepEqual(withoutJitter(RECONNECT_DELAYS), [10, 50, 100, 150, 200, 250, 500, 1000, 2000, 5000, 5000, 5000]);
});

test("ch_j3_rejoin_delays", () => {
  assert.deepEqual(withoutJitter(REJOIN_DELAYS), [1000, 2000, 5000, 10_000, 10_000, 10_000]);
});

test("ch_j1_jitter_spreads_around_the_delay", () => {
  for (const [random, expected] of [[0, 500], [0.5, 1000], [0.999, 1499]]) {
    assert.equal(backoff([1000], 0.5, () => /** @type {number} */ (random))(1), expected);
  }
});

test("ch_j1_without_being_told_delays_vary", () => {
  const delays = new Set(Array.from({ length: 50 }, () => backoff(RECONNECT_DELAYS)(10)));
  assert.ok(delays.size > 1);
  for (const delay of delays) assert.ok(delay >= 2500 && delay <= 7500, `${delay}`);
});

// How long to wait before trying again. Pure: the random source is an argument.

/** Milliseconds before the first, second, ... attempt to reconnect; the last one repeats. */
export const RECONNECT_DELAYS = Object.freeze([10, 50, 100, 150, 200, 250, 500, 1000, 2000, 5000]);

/** Milliseconds before the first, second, ... attempt to rejoin a channel; the last one repeats. */
export const REJOIN_DELAYS = Object.freeze([1000, 2000, 5000, 10_000]);

/**
 * A function from the number of the attempt (1 is the first) to its delay in milliseconds.
 *
 * Jitter spreads the clients of one server over time, so that a restart does not bring all of them back in the same
 * moment: 0.5 means between half and one and a half times the delay.
 *
 * @param {readonly number[]} delays in milliseconds, at least one
 * @param {number} [jitter] from 0 (none) to 1; default 0.5
 * @param {() => number} [random] from 0 up to but not 1; default `Math.random`
 * @returns {(tries: number) => number}
 */
export function backoff(delays, jitter = 0.5, random = Math.random) {
  return (tries) => {
    const at = Math.min(Math.max(tries, 1), delays.length) - 1;
    const delay = /** @type {number} */ (delays[at]);
    return Math.round(delay * (1 - jitter + 2 * jitter * random()));
  };
}

// Whether the server still answers: a message at an interval, and its reply before a timeout.

import { callSafely } from "./callbacks.js";

export class Heartbeat {
  #options;
  /** @type {string | null} of the beat that is not answered yet */
  #ref = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} until the next beat, or until its answer is overdue */
  #deadline;
  /** @type {Map<string, {since: number, callback: (rttMs: number) => void}>} */
  #pings = new Map();

  /**
   * @param {object} options
   * @param {number} options.intervalMs from a reply to the next beat
   * @param {number} options.timeoutMs from a beat to its reply
   * @param {() => string} options.send sends a heartbeat and returns its ref
   * @param {() => void} options.handleTimeout called when a reply is overdue
   */
  constructor(options) {
    this.#options = options;
  }

  /** Beats after one interval, and after each reply again. */
  start() {
    clearTimeout(this.#deadline);
    this.#ref = null;
    this.#deadline = setTimeout(() => {
      this.#deadline = setTimeout(this.#options.handleTimeout, this.#options.timeoutMs);
      this.#ref = this.#options.send();
    }, this.#options.intervalMs);
  }

  /** Pings on their way are forgotten as well. */
  stop() {
    clearTimeout(this.#deadline);
    this.#ref = null;
    this.#pings.clear();
  }

  /** @param {(rttMs: number) => void} callback given the milliseconds of one round trip */
  ping(callback) {
    const since = Date.now();
    this.#pings.set(this.#options.send(), { since, callback });
  }

  /** @param {string} ref of any message that came */
  handleReply(ref) {
    if (ref === this.#ref) this.start();
    const ping = this.#pings.get(ref);
    if (!ping) return;
    this.#pings.delete(ref);
    callSafely(ping.callback, Date.now() - ping.since);
  }
}

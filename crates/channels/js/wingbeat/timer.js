// One deadline that counts its tries: what reconnecting and rejoining wait on.

export class Timer {
  #callback;
  #delayOf;
  #tries = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #deadline;

  /**
   * @param {() => void} callback called when the deadline passes
   * @param {(tries: number) => number} delayOf milliseconds to wait before the given try; 1 is the first
   */
  constructor(callback, delayOf) {
    this.#callback = callback;
    this.#delayOf = delayOf;
  }

  /** Forgets the deadline and the tries so far. */
  reset() {
    this.#tries = 0;
    this.cancel();
  }

  /** Forgets the deadline, but not the tries. */
  cancel() {
    clearTimeout(this.#deadline);
    this.#deadline = undefined;
  }

  /** Sets the deadline of the next try, in place of one already set. */
  scheduleTimeout() {
    this.cancel();
    this.#deadline = setTimeout(() => {
      this.#deadline = undefined;
      this.#tries += 1;
      this.#callback();
    }, this.#delayOf(this.#tries + 1));
  }
}

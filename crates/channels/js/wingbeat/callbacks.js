// Who wants to be told of what.

/** @typedef {(...args: any[]) => void} Callback */

export class Callbacks {
  /** @type {{event: string, ref: number, callback: Callback}[]} */
  #entries = [];
  #refs = 0;

  /**
   * @param {string} event
   * @param {Callback} callback
   * @returns {number} the ref to remove it by
   */
  add(event, callback) {
    const ref = ++this.#refs;
    this.#entries.push({ event, ref, callback });
    return ref;
  }

  /** @param {(entry: {event: string, ref: number}) => boolean} test removes the entries it answers true for */
  remove(test) {
    this.#entries = this.#entries.filter((entry) => !test(entry));
  }

  /**
   * Calls those of one event, in the order they came. One that throws is reported and does not stop the others.
   * @param {string} event
   * @param {...any} args
   */
  call(event, ...args) {
    for (const entry of this.#entries) {
      if (entry.event === event) callSafely(entry.callback, ...args);
    }
  }
}

/**
 * An error of the application's own callback surfaces as an uncaught one and leaves the client as it is.
 * @param {Callback} callback
 * @param {...any} args
 */
export function callSafely(callback, ...args) {
  try {
    callback(...args);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

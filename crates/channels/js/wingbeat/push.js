// One message of the client that expects an answer.

import { callSafely } from "./callbacks.js";

/** @typedef {import("./channel.js").Channel} Channel */

export class Push {
  /** @type {string | null} names the message once it is sent */
  ref = null;
  /** @type {{status: string, response: any} | null} the answer, once there is one */
  received = null;
  /** @type {{status: string, callback: (response: any) => void}[]} */
  #hooks = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #deadline;

  /**
   * Made by `Channel`: an application calls `channel.push`, `join` or `leave`.
   * @param {Channel} channel
   * @param {string} event
   * @param {any} payload
   * @param {number} timeout milliseconds
   */
  constructor(channel, event, payload, timeout) {
    this.channel = channel;
    this.event = event;
    this.payload = payload;
    this.startTimeout(timeout);
  }

  /**
   * Calls back with the response when the answer has this status: "ok", "error", any other the server may answer with,
   * or "timeout". At once, if it is there already.
   * @param {string} status
   * @param {(response: any) => void} callback
   */
  receive(status, callback) {
    if (this.received?.status === status) callSafely(callback, this.received.response);
    this.#hooks.push({ status, callback });
    return this;
  }

  /** The answer as a promise: resolves with the response of "ok", is rejected with `{status, response}` otherwise. */
  answer() {
    return new Promise((resolve, reject) => {
      if (this.received) this.#settlePromise(resolve, reject);
      else this.#hooks.push({ status: "", callback: () => this.#settlePromise(resolve, reject) });
    });
  }

  /**
   * Begins anew, as a rejoin does: unanswered, unsent, with all of the time ahead.
   * @param {number} timeout milliseconds, counted from here and not from when it is sent
   */
  startTimeout(timeout) {
    this.cancelTimeout();
    this.channel.forget(this);
    this.received = null;
    this.ref = null;
    this.#deadline = setTimeout(() => this.settle("timeout", {}), timeout);
  }

  /** Gives up the deadline; the push stays unanswered. */
  cancelTimeout() {
    clearTimeout(this.#deadline);
  }

  /** Hands the message to the socket under a new ref. */
  send() {
    const { channel, event, payload } = this;
    const ref = channel.socket.makeRef();
    this.ref = ref;
    const join_ref = event === "phx_join" ? ref : channel.joinRef();
    channel.expect(ref, this);
    if (channel.socket.push({ join_ref, ref, topic: channel.topic, event, payload })) return;
    this.settle("error", { source: "client", reason: "buffer_full" });
  }

  /**
   * @param {string} status
   * @param {any} response
   */
  settle(status, response) {
    if (this.received) return;
    this.cancelTimeout();
    this.channel.forget(this);
    this.received = { status, response };
    for (const hook of this.#hooks) {
      if (hook.status === status || hook.status === "") callSafely(hook.callback, response);
    }
  }

  /**
   * @param {(response: any) => void} resolve
   * @param {(answer: any) => void} reject
   */
  #settlePromise(resolve, reject) {
    if (this.received?.status === "ok") resolve(this.received.response);
    else reject(this.received);
  }
}

// One topic joined over a socket: closed → joining → joined, errored when it is lost, and joined again by itself.

import { Callbacks } from "./callbacks.js";
import { whenGiven } from "./params.js";
import { Push } from "./push.js";
import { Timer } from "./timer.js";

/** @typedef {"closed" | "joining" | "joined" | "errored" | "leaving"} State */
/** @typedef {(payload: any, ref?: string | null, joinRef?: string | null) => void} EventCallback */
/** @typedef {import("./serializer.js").Message} Message */
/** @typedef {import("./socket.js").Socket} Socket */

/** The answer to a push that nobody will answer any more. */
const CLOSED = { source: "client", reason: "channel_closed" };

export class Channel {
  /** @type {State} */
  state = "closed";
  #callbacks = new Callbacks();
  /** @type {Map<string, Push>} sent and unanswered, by ref */
  #pending = new Map();
  /** @type {Push[]} made while not joined */
  #buffer = [];
  #joinedOnce = false;
  /** Counts joins, so that params that come late for an earlier one are known. */
  #joins = 0;
  #joinPush;
  #rejoinTimer;

  /**
   * Made by `socket.channel(topic, params)`.
   * @param {string} topic
   * @param {import("./params.js").Given<any>} params the payload of the join
   * @param {Socket} socket
   */
  constructor(topic, params, socket) {
    this.topic = topic;
    this.params = params;
    this.socket = socket;
    /** Milliseconds a push of this channel waits for its answer, unless told otherwise. */
    this.timeout = socket.timeout;
    this.#rejoinTimer = new Timer(() => {
      if (socket.isConnected()) this.#rejoin();
    }, socket.rejoinAfterMs);
    this.#joinPush = new Push(this, "phx_join", {}, this.timeout);
    this.#joinPush.cancelTimeout();
    this.#joinPush
      .receive("ok", () => this.#handleJoined())
      .receive("error", () => this.#handleRefused())
      .receive("timeout", () => this.#handleJoinTimeout());
  }

  /**
   * Joins, once per instance; from then on the channel rejoins by itself, also after a refusal, until `leave`. The
   * callbacks of the push are called for each join that is answered.
   * @param {number} [timeout] milliseconds
   */
  join(timeout = this.timeout) {
    if (this.#joinedOnce) throw new Error("a channel is joined once; make another with socket.channel");
    this.#joinedOnce = true;
    this.timeout = timeout;
    this.#rejoin();
    return this.#joinPush;
  }

  /**
   * Leaves for good. Nothing but answers is delivered from here on; "ok" comes when the server has let go, or at once
   * if it does not know of the channel.
   * @param {number} [timeout] milliseconds
   */
  leave(timeout = this.timeout) {
    const known = this.socket.isConnected() && this.#joinPush.ref !== null && (this.isJoined() || this.isJoining());
    this.#rejoinTimer.reset();
    this.#joinPush.cancelTimeout();
    this.#joinedOnce = true;
    if (!this.isClosed()) this.state = "leaving";
    const leave = new Push(this, "phx_leave", {}, timeout);
    const close = () => this.#close("leave");
    leave.receive("ok", close).receive("error", close).receive("timeout", close);
    if (known) leave.send();
    else leave.settle("ok", {});
    return leave;
  }

  /**
   * Sends an event. Before the join is answered, and while the connection is down, it waits, at most for its timeout;
   * what has timed out is not sent any more. A full buffer answers "error" with the reason `buffer_full` at once.
   * @param {string} event
   * @param {any} [payload]
   * @param {number} [timeout] milliseconds, counted from now
   */
  push(event, payload = {}, timeout = this.timeout) {
    if (!this.#joinedOnce) throw new Error(`push "${event}" to "${this.topic}" after channel.join(), not before`);
    const push = new Push(this, event, payload, timeout);
    if (this.isClosed() || this.isLeaving()) push.settle("error", CLOSED);
    else if (this.isJoined() && this.socket.isConnected()) push.send();
    else if (this.#buffer.length < this.socket.maxBufferedPushes) this.#buffer.push(push);
    else push.settle("error", { source: "client", reason: "buffer_full" });
    return push;
  }

  /**
   * @param {string} event
   * @param {EventCallback} callback
   * @returns {number} the ref for `off`
   */
  on(event, callback) {
    return this.#callbacks.add(event, callback);
  }

  /**
   * @param {string} event
   * @param {number} [ref] as `on` returned it; without it all callbacks of the event go
   */
  off(event, ref) {
    this.#callbacks.remove((entry) => entry.event === event && (ref === undefined || entry.ref === ref));
  }

  /** @param {EventCallback} callback called after `leave`, or when the server closes the channel */
  onClose(callback) {
    return this.on("phx_close", callback);
  }

  /**
   * @param {(reason: any) => void} callback given what the server says, or `{source: "transport", reason}` with one of
   *   "heartbeat_timeout", "connection_closed", "connection_error"
   */
  onError(callback) {
    return this.on("phx_error", callback);
  }

  /**
   * Meant to be replaced: sees every message first and returns its payload, changed or not.
   * @param {string} _event
   * @param {any} payload
   * @param {string | null} _ref
   * @returns {any}
   */
  onMessage(_event, payload, _ref) {
    return payload;
  }

  isClosed() {
    return this.state === "closed";
  }

  isJoining() {
    return this.state === "joining";
  }

  isJoined() {
    return this.state === "joined";
  }

  isErrored() {
    return this.state === "errored";
  }

  isLeaving() {
    return this.state === "leaving";
  }

  /** The ref of the latest join that was sent; it stamps every message of this instance. */
  joinRef() {
    return this.#joinPush.ref;
  }

  // What the socket and the pushes of this channel call.

  handleOpen() {
    this.#rejoinTimer.reset();
    if (this.isErrored()) this.#rejoin();
    else if (this.isJoining()) this.#sendJoin();
  }

  /** @param {{source: string, reason: string}} reason the connection is lost */
  handleDown(reason) {
    if (this.isLeaving()) this.#close("leave");
    else if (this.isJoined() || this.isJoining()) this.#fail(reason);
  }

  /** @param {Message} message of this topic */
  handleMessage({ join_ref, ref, event, payload: raw }) {
    if (join_ref !== null && join_ref !== undefined && join_ref !== this.joinRef()) {
      this.socket.log("channel", `dropped stale ${event} of ${this.topic}`, { join_ref });
      return;
    }
    if (this.isClosed() || (this.isLeaving() && !event.startsWith("phx_"))) return;
    const payload = this.onMessage(event, raw, ref);
    if (raw && !payload) throw new Error("channel.onMessage must return the payload, changed or not");
    if (event === "phx_close") return this.#close(payload, ref, join_ref);
    if (event === "phx_error") return this.#fail(payload, ref, join_ref);
    if (event === "phx_reply") this.#pending.get(ref ?? "")?.settle(payload?.status, payload?.response);
    this.#callbacks.call(event, payload, ref, join_ref);
  }

  /**
   * @param {string} ref
   * @param {Push} push
   */
  expect(ref, push) {
    this.#pending.set(ref, push);
  }

  /** @param {Push} push is answered or has timed out */
  forget(push) {
    if (push.ref !== null) this.#pending.delete(push.ref);
    this.#buffer = this.#buffer.filter((buffered) => buffered !== push);
  }

  // Joining.

  #rejoin() {
    if (this.isLeaving()) return;
    this.socket.leaveOpenTopic(this);
    this.state = "joining";
    this.#joinPush.startTimeout(this.timeout);
    this.#sendJoin();
  }

  /** Sends the join now, or leaves it to `handleOpen`: one that was kept back for a new connection would be stale. */
  #sendJoin() {
    const join = ++this.#joins;
    if (!this.socket.isConnected()) return;
    const current = () => join === this.#joins && this.isJoining() && this.socket.isConnected();
    whenGiven(
      this.params,
      (payload) => {
        if (!current()) return;
        this.#joinPush.payload = payload;
        this.#joinPush.send();
      },
      (error) => {
        if (current()) this.#joinPush.settle("error", { source: "client", reason: "params_error", error });
      },
    );
  }

  #handleJoined() {
    if (!this.isJoining()) return;
    this.state = "joined";
    this.#rejoinTimer.reset();
    for (const push of this.#buffer.splice(0)) push.send();
  }

  #handleRefused() {
    if (!this.isJoining()) return;
    this.state = "errored";
    if (this.socket.isConnected()) this.#rejoinTimer.scheduleTimeout();
  }

  #handleJoinTimeout() {
    if (!this.isJoining()) return;
    this.state = "errored";
    if (!this.socket.isConnected()) return;
    // The server may yet admit us to a stay that we have given up.
    if (this.joinRef() !== null) new Push(this, "phx_leave", {}, this.timeout).send();
    this.#rejoinTimer.scheduleTimeout();
  }

  /**
   * @param {any} reason
   * @param {string | null} [ref]
   * @param {string | null} [joinRef]
   */
  #fail(reason, ref, joinRef) {
    if (this.isLeaving()) return this.#close("leave");
    this.#joinPush.cancelTimeout();
    this.state = "errored";
    if (this.socket.isConnected()) this.#rejoinTimer.scheduleTimeout();
    this.#callbacks.call("phx_error", reason, ref, joinRef);
  }

  /**
   * @param {any} payload
   * @param {string | null} [ref]
   * @param {string | null} [joinRef]
   */
  #close(payload, ref, joinRef) {
    const wasClosed = this.isClosed();
    this.state = "closed";
    this.#rejoinTimer.reset();
    this.#joinPush.cancelTimeout();
    this.socket.remove(this);
    for (const push of [...this.#pending.values(), ...this.#buffer]) {
      if (!push.event.startsWith("phx_")) push.settle("error", CLOSED);
    }
    if (!wasClosed) this.#callbacks.call("phx_close", payload, ref, joinRef);
  }
}

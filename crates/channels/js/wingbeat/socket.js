// One connection to the server, kept up: it reconnects, beats, and carries any number of channels.

import { backoff, RECONNECT_DELAYS, REJOIN_DELAYS } from "./backoff.js";
import { Callbacks, callSafely } from "./callbacks.js";
import { Channel } from "./channel.js";
import { Heartbeat } from "./heartbeat.js";
import { Page } from "./page.js";
import { endPointURL, whenGiven } from "./params.js";
import { Serializer } from "./serializer.js";
import { Timer } from "./timer.js";

/** @typedef {import("./params.js").Params} Params */
/** @typedef {import("./serializer.js").Frame} Frame */
/** @typedef {import("./serializer.js").Message} Message */
/** @typedef {(message: Message, callback: (frame: Frame) => void) => void} Encode */
/** @typedef {(frame: Frame, callback: (message: Message) => void) => void} Decode */
/** @typedef {{code: number, reason: string, wasClean: boolean}} Closed how a connection ended */

/**
 * @typedef {object} SocketOptions
 * @property {typeof WebSocket} [transport] default: the browser's
 * @property {import("./params.js").Given<Params>} [params] for `connect` on the server; asked anew at each connect
 * @property {import("./params.js").Given<string>} [authToken] travels as a subprotocol; asked anew at each connect
 * @property {number} [timeout] milliseconds a push waits for its answer; default 10,000
 * @property {number} [heartbeatIntervalMs] default 30,000
 * @property {number} [heartbeatTimeoutMs] default: the interval
 * @property {(tries: number) => number} [reconnectAfterMs] default: `RECONNECT_DELAYS` with jitter
 * @property {(tries: number) => number} [rejoinAfterMs] default: `REJOIN_DELAYS` with jitter
 * @property {number} [maxBufferedPushes] per channel, made while it is not joined; default 100
 * @property {number} [maxBufferedMessages] per socket, made by `socket.push` while not connected; default 100
 * @property {number} [maxBufferedBytes] handed to the browser and not yet sent; default 8 MiB
 * @property {string} [vsn] version of the serializer; default "2.0.0"
 * @property {BinaryType} [binaryType] default "arraybuffer"
 * @property {Encode} [encode]
 * @property {Decode} [decode]
 * @property {(kind: string, message: string, data?: any) => void} [logger]
 * @property {boolean} [debug] logs to the console if there is no logger
 */

const OPEN = 1;
/** How long a closing handshake may take before the connection counts as closed. */
const CLOSE_TIMEOUT_MS = 2000;
const STATES = /** @type {const} */ (["connecting", "open", "closing", "closed"]);

export class Socket {
  /** @type {Channel[]} */
  channels = [];
  /** @type {WebSocket | null} the connection that counts; what an older one still says is not heard */
  #conn = null;
  #callbacks = new Callbacks();
  /** @type {Message[]} */
  #buffer = [];
  #ref = 0;
  #established = 0;
  /** Whether the application wants to be connected. */
  #wanted = false;
  /** Counts attempts to connect, so that params that come late for an earlier one are known. */
  #attempts = 0;
  #waitsForParams = false;
  /** @type {Params} */
  #lastParams = {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #closeTimer;
  #reconnectTimer;
  #heartbeat;
  #page;

  /**
   * @param {string} endPoint `/socket` on this page's host, or a whole address; `/websocket` is added
   * @param {SocketOptions} [options]
   */
  constructor(endPoint, options = {}) {
    this.endPoint = endPoint;
    this.transport = options.transport ?? globalThis.WebSocket;
    this.params = options.params ?? {};
    this.authToken = options.authToken;
    this.timeout = options.timeout ?? 10_000;
    this.heartbeatIntervalMs = options.heartbeatIntervalMs ?? 30_000;
    this.heartbeatTimeoutMs = options.heartbeatTimeoutMs ?? this.heartbeatIntervalMs;
    this.rejoinAfterMs = options.rejoinAfterMs ?? backoff(REJOIN_DELAYS);
    this.maxBufferedPushes = options.maxBufferedPushes ?? 100;
    this.maxBufferedMessages = options.maxBufferedMessages ?? 100;
    this.maxBufferedBytes = options.maxBufferedBytes ?? 8 * 1024 * 1024;
    this.vsn = options.vsn ?? "2.0.0";
    this.binaryType = options.binaryType ?? "arraybuffer";
    this.encode = options.encode ?? Serializer.encode;
    this.decode = options.decode ?? Serializer.decode;
    this.logger = options.logger ?? (options.debug ? console.debug : undefined);
    const reconnectAfterMs = options.reconnectAfterMs ?? backoff(RECONNECT_DELAYS);
    this.#reconnectTimer = new Timer(() => {
      if (!this.#page.hidden) this.#open();
    }, reconnectAfterMs);
    this.#heartbeat = new Heartbeat({
      intervalMs: this.heartbeatIntervalMs,
      timeoutMs: this.heartbeatTimeoutMs,
      send: () => this.#sendHeartbeat(),
      handleTimeout: () => this.#handleHeartbeatTimeout(),
    });
    // A hidden page does not reconnect; one that the browser puts away disconnects.
    this.#page = new Page({
      visible: () => this.#handleVisible(),
      hide: () => this.#hangUp(),
      show: () => this.#handleShow(),
    });
  }

  /** Connects and stays connected until `disconnect`, or until the server closes with code 1000. */
  connect() {
    if (this.#wanted && (this.#conn || this.#waitsForParams)) return;
    this.#wanted = true;
    this.#page.watch();
    this.#reconnectTimer.reset();
    this.#open();
  }

  /**
   * Disconnects and stays away until `connect`. The channels stay, and rejoin then.
   * @param {() => void} [callback] called when the connection is closed
   * @param {number} [code] of the close frame
   * @param {string} [reason] of the close frame
   */
  disconnect(callback, code, reason) {
    this.#wanted = false;
    this.#page.unwatch();
    this.#hangUp(code, reason);
    if (!callback) return;
    if (!this.#conn) return callSafely(callback);
    const ref = this.onClose(() => {
      this.off([ref]);
      callback();
    });
  }

  /**
   * @param {string} topic
   * @param {import("./params.js").Given<any>} [params] the payload of the join; a function is asked anew at each join
   */
  channel(topic, params = {}) {
    const channel = new Channel(topic, params, this);
    this.channels.push(channel);
    return channel;
  }

  /**
   * Sends a message, or keeps it until the connection opens.
   * @param {Message} message
   * @returns {boolean} false if there is no room for it
   */
  push(message) {
    const conn = this.#conn;
    if (!conn || conn.readyState !== OPEN) {
      if (this.#buffer.length >= this.maxBufferedMessages) return false;
      this.#buffer.push(message);
      return true;
    }
    if (conn.bufferedAmount > this.maxBufferedBytes) return false;
    this.log("push", `${message.topic} ${message.event} (${message.join_ref}, ${message.ref})`, message.payload);
    this.encode(message, (frame) => conn.send(frame));
    return true;
  }

  /** @param {() => void} callback @returns {number} the ref for `off` */
  onOpen(callback) {
    return this.#callbacks.add("open", callback);
  }

  /** @param {(closed: Closed) => void} callback @returns {number} the ref for `off` */
  onClose(callback) {
    return this.#callbacks.add("close", callback);
  }

  /**
   * @param {(error: {source: "transport", reason: string, cause?: any}, transport: any, established: number) => void}
   *   callback also told how many connections have opened so far
   * @returns {number} the ref for `off`
   */
  onError(callback) {
    return this.#callbacks.add("error", callback);
  }

  /** @param {(message: Message) => void} callback @returns {number} the ref for `off` */
  onMessage(callback) {
    return this.#callbacks.add("message", callback);
  }

  /** @param {number[]} refs of callbacks to remove */
  off(refs) {
    this.#callbacks.remove((entry) => refs.includes(entry.ref));
  }

  /**
   * Measures a round trip to the server.
   * @param {(rttMs: number) => void} callback
   * @returns {boolean} false if not connected
   */
  ping(callback) {
    if (!this.isConnected()) return false;
    this.#heartbeat.ping(callback);
    return true;
  }

  isConnected() {
    return this.#conn?.readyState === OPEN;
  }

  /** @returns {"connecting" | "open" | "closing" | "closed"} */
  connectionState() {
    if (!this.#conn) return this.#waitsForParams ? "connecting" : "closed";
    return STATES[this.#conn.readyState] ?? "closed";
  }

  /** The address of the latest connection, or of the first if its params are at hand. */
  endPointURL() {
    const params = this.#attempts > 0 || typeof this.params === "function" ? this.#lastParams : this.params;
    return endPointURL(this.endPoint, { ...params, vsn: this.vsn });
  }

  /** "ws" or "wss" */
  protocol() {
    return this.endPointURL().split(":")[0];
  }

  /** A name for a message, unlike those of all others in flight. */
  makeRef() {
    this.#ref = this.#ref >= Number.MAX_SAFE_INTEGER ? 0 : this.#ref + 1;
    return String(this.#ref);
  }

  /** Connects by another transport from now on. @param {typeof WebSocket} transport */
  replaceTransport(transport) {
    this.transport = transport;
    if (!this.#wanted) return;
    this.#hangUp();
    this.#open();
  }

  hasLogger() {
    return this.logger !== undefined;
  }

  /**
   * @param {string} kind
   * @param {string} message
   * @param {any} [data]
   */
  log(kind, message, data) {
    this.logger?.(kind, message, data);
  }

  /** @param {Channel} channel forgets it; `channel.leave` does so by itself */
  remove(channel) {
    this.channels = this.channels.filter((other) => other !== channel);
  }

  /** A topic is joined once per socket: an older channel of it leaves. @param {Channel} channel about to join */
  leaveOpenTopic(channel) {
    for (const other of [...this.channels]) {
      const open = other.isJoined() || other.isJoining() || other.isErrored();
      if (other !== channel && other.topic === channel.topic && open) other.leave();
    }
  }

  // Connecting.

  #open() {
    if (this.#conn) this.#abandon();
    this.#reconnectTimer.cancel();
    const attempt = ++this.#attempts;
    const current = () => attempt === this.#attempts && this.#wanted;
    const fail = (/** @type {unknown} */ cause) => {
      if (!current()) return;
      this.#waitsForParams = false;
      this.#handleError(cause);
      this.#reconnectTimer.scheduleTimeout();
    };
    this.#waitsForParams = true;
    whenGiven(
      this.params,
      (params) => {
        whenGiven(
          this.authToken,
          (token) => {
            if (!current()) return;
            this.#waitsForParams = false;
            this.#lastParams = params;
            try {
              this.#dial(token);
            } catch (error) {
              fail(error);
            }
          },
          fail,
        );
      },
      fail,
    );
  }

  /** @param {string | undefined} token */
  #dial(token) {
    const protocols = token === undefined ? undefined : ["phoenix", `base64url.bearer.phx.${base64url(token)}`];
    const conn = new this.transport(this.endPointURL(), protocols);
    conn.binaryType = this.binaryType;
    this.#conn = conn;
    conn.onopen = () => this.#handleOpen();
    conn.onerror = (event) => this.#handleError(event);
    conn.onmessage = (event) => this.#handleFrame(event.data);
    conn.onclose = (event) => this.#handleClose(event);
  }

  #handleOpen() {
    this.log("transport", `connected to ${this.endPoint}`);
    this.#established += 1;
    this.#heartbeat.start();
    for (const message of this.#buffer.splice(0)) this.push(message);
    for (const channel of [...this.channels]) channel.handleOpen();
    this.#callbacks.call("open");
  }

  /** @param {unknown} cause */
  #handleError(cause) {
    const error = { source: /** @type {const} */ ("transport"), reason: "connection_error" };
    this.log("transport", "error", cause);
    this.#down(error);
    this.#callbacks.call("error", { ...error, cause }, this.transport, this.#established);
  }

  /** @param {Closed} closed */
  #handleClose(closed) {
    this.log("transport", "closed", { code: closed.code, reason: closed.reason });
    this.#forgetConnection();
    this.#down({ source: "transport", reason: "connection_closed" });
    // A server that closes with 1000 wants us to stay away.
    if (closed.code === 1000) this.#wanted = false;
    if (this.#wanted) this.#reconnectTimer.scheduleTimeout();
    this.#callbacks.call("close", closed);
  }

  /** @param {{source: string, reason: string}} reason */
  #down(reason) {
    for (const channel of [...this.channels]) channel.handleDown(reason);
  }

  /** @param {Frame} data */
  #handleFrame(data) {
    try {
      this.decode(data, (message) => this.#handleMessage(message));
    } catch (error) {
      this.log("transport", "dropped a frame that is not a message", error);
      this.#callbacks.call("error", { source: "transport", reason: "bad_message", cause: error }, this.transport,
        this.#established);
    }
  }

  /** @param {Message} message */
  #handleMessage(message) {
    const { topic, event, payload, ref } = message;
    this.log("receive", `${topic} ${event} (${ref})`, payload);
    // Only now is it worth to come back quickly: a server that opens and closes again would be hammered.
    this.#reconnectTimer.reset();
    if (ref !== null) this.#heartbeat.handleReply(ref);
    for (const channel of this.channels.filter((channel) => channel.topic === topic)) {
      callSafely(() => channel.handleMessage(message));
    }
    this.#callbacks.call("message", message);
  }

  // Hanging up.

  /**
   * @param {number} [code]
   * @param {string} [reason]
   */
  #hangUp(code, reason) {
    this.#attempts += 1;
    this.#waitsForParams = false;
    this.#reconnectTimer.reset();
    this.#heartbeat.stop();
    const conn = this.#conn;
    if (!conn) return;
    conn.close(code, reason);
    clearTimeout(this.#closeTimer);
    // The socket is closed for the application even if the server never answers.
    this.#closeTimer = setTimeout(() => {
      if (this.#conn === conn) this.#abandon();
    }, CLOSE_TIMEOUT_MS);
  }

  /**
   * Ends the present connection here and now, as lost.
   * @param {number} [code] to close it with, if it can still be
   * @param {string} [reason]
   */
  #abandon(code, reason = "") {
    const conn = this.#conn;
    this.#handleClose({ code: 1006, reason, wasClean: false });
    if (conn && conn.readyState <= OPEN) conn.close(code, reason);
  }

  #forgetConnection() {
    clearTimeout(this.#closeTimer);
    this.#heartbeat.stop();
    if (!this.#conn) return;
    this.#conn.onopen = this.#conn.onerror = this.#conn.onmessage = this.#conn.onclose = null;
    this.#conn = null;
  }

  #sendHeartbeat() {
    const ref = this.makeRef();
    this.push({ join_ref: null, ref, topic: "phoenix", event: "heartbeat", payload: {} });
    return ref;
  }

  #handleHeartbeatTimeout() {
    this.log("transport", "heartbeat timeout");
    this.#down({ source: "transport", reason: "heartbeat_timeout" });
    this.#abandon(1000, "heartbeat timeout");
  }

  #handleVisible() {
    if (!this.#wanted || this.#conn || this.#waitsForParams) return;
    this.#reconnectTimer.reset();
    this.#open();
  }

  #handleShow() {
    const gone = !this.#conn || this.#conn.readyState > OPEN;
    if (this.#wanted && gone && !this.#waitsForParams) this.#open();
  }
}

/** @param {string} text */
function base64url(text) {
  const bytes = new TextEncoder().encode(text);
  const base64 = btoa(String.fromCharCode(...bytes));
  return base64.replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

// A server of one test, without a network: what the client sends is read from `sent`, what comes is said by `say`.

import { Socket } from "../wingbeat.js";

/** @implements {Pick<WebSocket, "send" | "close">} */
export class FakeTransport {
  /** @type {FakeTransport[]} every connection that was dialled, in order */
  static dialled = [];

  readyState = 0;
  bufferedAmount = 0;
  binaryType = "blob";
  /** @type {any[]} messages of the client, decoded, the oldest first */
  sent = [];
  /** @type {{code?: number, reason?: string} | null} how the client closed */
  closedWith = null;
  /** @type {((event: any) => void) | null} */
  onopen = null;
  /** @type {((event: any) => void) | null} */
  onclose = null;
  /** @type {((event: any) => void) | null} */
  onmessage = null;
  /** @type {((event: any) => void) | null} */
  onerror = null;

  /**
   * @param {string} url
   * @param {string[]} [protocols]
   */
  constructor(url, protocols) {
    this.url = url;
    this.protocols = protocols;
    FakeTransport.dialled.push(this);
  }

  /** @param {any} frame */
  send(frame) {
    if (this.readyState !== 1) throw new Error("not open");
    this.sent.push(typeof frame === "string" ? JSON.parse(frame) : frame);
  }

  /**
   * @param {number} [code]
   * @param {string} [reason]
   */
  close(code, reason) {
    this.closedWith = { code, reason };
    this.readyState = 2;
  }

  open() {
    this.readyState = 1;
    this.onopen?.({});
  }

  /** The connection ends; 1006 is how a lost one looks. */
  drop(code = 1006, reason = "") {
    this.readyState = 3;
    this.onclose?.({ code, reason, wasClean: code !== 1006 });
  }

  /** A connection that never was. */
  refuse() {
    this.onerror?.({ type: "error" });
    this.drop();
  }

  /** @param {any[]} message */
  say(...message) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  /**
   * Answers the latest message the client sent.
   * @param {string} [status]
   * @param {any} [response]
   */
  reply(status = "ok", response = {}) {
    const [joinRef, ref, topic] = this.sent.at(-1);
    this.say(joinRef, ref, topic, "phx_reply", { status, response });
  }

  /** Events the client sent, heartbeats included. */
  get events() {
    return this.sent.map((message) => message[3]);
  }
}

/** The connection that was dialled last. */
export function latest() {
  return /** @type {FakeTransport} */ (FakeTransport.dialled.at(-1));
}

/**
 * A socket that dials `FakeTransport`, with delays that do not vary.
 * @param {import("../wingbeat/socket.js").SocketOptions} [options]
 */
export function fakeSocket(options = {}) {
  FakeTransport.dialled = [];
  return new Socket("ws://server/socket", {
    transport: /** @type {any} */ (FakeTransport),
    reconnectAfterMs: (tries) => tries * 100,
    rejoinAfterMs: (tries) => tries * 1000,
    ...options,
  });
}

/**
 * A connected socket.
 * @param {import("../wingbeat/socket.js").SocketOptions} [options]
 */
export function connected(options) {
  const socket = fakeSocket(options);
  socket.connect();
  latest().open();
  return socket;
}

/**
 * A channel that the server has admitted.
 * @param {Socket} socket
 * @param {string} [topic]
 */
export function joined(socket, topic = "room:1") {
  const channel = socket.channel(topic);
  channel.join();
  latest().reply();
  return channel;
}

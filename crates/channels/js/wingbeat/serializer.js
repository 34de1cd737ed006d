// Version 2.0.0 of the wire: text frames hold `[join_ref, ref, topic, event, payload]`, binary frames a short header.

/**
 * @typedef {object} Message
 * @property {string | null} join_ref the join this message belongs to; null on broadcasts
 * @property {string | null} ref names one message of the client; its reply carries it back
 * @property {string} topic
 * @property {string} event
 * @property {any} payload
 */

/** @typedef {string | ArrayBuffer} Frame what one WebSocket message holds */

const PUSH = 0;
const REPLY = 1;
const BROADCAST = 2;

/** Encodes and decodes messages; both hand their result to a callback, so that an application may replace them. */
export const Serializer = {
  /**
   * @template T
   * @param {Message} message
   * @param {(frame: Frame) => T} callback
   * @returns {T}
   */
  encode(message, callback) {
    if (message.payload instanceof ArrayBuffer) return callback(encodePush(message));
    const { join_ref, ref, topic, event, payload } = message;
    return callback(JSON.stringify([join_ref ?? null, ref ?? null, topic, event, payload ?? {}]));
  },

  /**
   * Throws if the frame is not a message.
   * @template T
   * @param {Frame} frame
   * @param {(message: Message) => T} callback
   * @returns {T}
   */
  decode(frame, callback) {
    if (typeof frame !== "string") return callback(decodeBinary(frame));
    const items = JSON.parse(frame);
    if (!Array.isArray(items) || items.length < 5) throw new TypeError("a message is an array of five items");
    const [join_ref, ref, topic, event, payload] = items;
    if (typeof topic !== "string" || typeof event !== "string") throw new TypeError("topic and event are strings");
    return callback({ join_ref, ref, topic, event, payload });
  },
};

/**
 * A push of the client: unlike one of the server its header has a ref.
 * @param {Message} message
 */
function encodePush({ join_ref, ref, topic, event, payload }) {
  const encoder = new TextEncoder();
  const fields = [join_ref ?? "", ref ?? "", topic, event].map((field) => encoder.encode(field));
  const long = fields.find((field) => field.length > 255);
  if (long) throw new RangeError(`a field of a binary message holds at most 255 bytes, this one ${long.length}`);
  const parts = [[PUSH, ...fields.map((field) => field.length)], ...fields, new Uint8Array(payload)];
  const frame = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    frame.set(part, at);
    at += part.length;
  }
  return frame.buffer;
}

/**
 * @param {ArrayBuffer} frame
 * @returns {Message}
 */
function decodeBinary(frame) {
  const kind = new Uint8Array(frame)[0];
  if (kind === PUSH) {
    const [[join_ref, topic, event], payload] = split(frame, 3);
    return { join_ref: join_ref || null, ref: null, topic: topic ?? "", event: event ?? "", payload };
  }
  if (kind === REPLY) {
    const [[join_ref, ref, topic, status], response] = split(frame, 4);
    const payload = { status, response };
    return { join_ref: join_ref || null, ref: ref ?? null, topic: topic ?? "", event: "phx_reply", payload };
  }
  if (kind === BROADCAST) {
    const [[topic, event], payload] = split(frame, 2);
    return { join_ref: null, ref: null, topic: topic ?? "", event: event ?? "", payload };
  }
  throw new TypeError(`unknown kind of binary message: ${kind}`);
}

/**
 * After the kind come `count` lengths of one byte each, then the fields they measure, then the payload.
 * @param {ArrayBuffer} frame
 * @param {number} count
 * @returns {[string[], ArrayBuffer]}
 */
function split(frame, count) {
  const lengths = new Uint8Array(frame).slice(1, 1 + count);
  const decoder = new TextDecoder();
  let at = 1 + count;
  const fields = Array.from(lengths, (length) => decoder.decode(frame.slice(at, (at += length))));
  if (lengths.length < count || at > frame.byteLength) throw new RangeError("binary message ends in its header");
  return [fields, frame.slice(at)];
}

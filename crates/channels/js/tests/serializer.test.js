import assert from "node:assert/strict";
import { test } from "node:test";
import { Serializer } from "../wingbeat.js";
import { endPointURL } from "../wingbeat/params.js";

/** @param {import("../wingbeat/serializer.js").Frame} frame */
const hex = (frame) => Buffer.from(/** @type {ArrayBuffer} */ (frame)).toString("hex");

/** @param {string} digits */
const frame = (digits) => {
  const bytes = Buffer.from(digits, "hex");
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
};

/** @param {any} message */
const encode = (message) => Serializer.encode(message, (frame) => frame);

/** @param {import("../wingbeat/serializer.js").Frame} frame */
const decode = (frame) => Serializer.decode(frame, (message) => message);

test("ch_text_is_an_array_of_five", () => {
  const payload = { message: "hi, \"you\"" };
  const message = { join_ref: "3", ref: "4", topic: "room:1", event: "said", payload };
  assert.equal(encode(message), '["3","4","room:1","said",{"message":"hi, \\"you\\""}]');
  assert.deepEqual(decode(String(encode(message))), message);
});

test("ch_what_is_missing_is_null_or_an_empty_object", () => {
  assert.equal(encode({ ref: "1", topic: "phoenix", event: "heartbeat" }), '[null,"1","phoenix","heartbeat",{}]');
});

test("ch_extra_items_are_ignored", () => {
  assert.equal(decode('[null,null,"t","e",{},6]').event, "e");
});

test("ch_frames_that_are_no_messages_throw", () => {
  for (const bad of ["", "{", "{}", "null", "[]", '["1","2","t","e"]', "[null,null,1,2,{}]"]) {
    assert.throws(() => decode(bad), Error, bad);
  }
  for (const bad of ["", "00", "02ff01", "07", "000101"]) assert.throws(() => decode(frame(bad)), Error, bad);
});

test("ch_binary_push", () => {
  const payload = frame("0908");
  const message = { join_ref: "4", ref: "27", topic: "room:reply", event: "bin", payload };
  assert.equal(hex(encode(message)), "0001020a033432" + "37726f6f6d3a7265706c7962696e0908");
});

test("ch_binary_from_the_server", () => {
  for (const [digits, expected] of /** @type {[string, any][]} */ ([
    ["00010a0734726f6f6d3a7265706c7962696e707573680908", { join_ref: "4", ref: null, event: "binpush" }],
    ["0101020a02343237726f6f6d3a7265706c796f6b0908", { join_ref: "4", ref: "27", event: "phx_reply" }],
    ["020a03726f6f6d3a7265706c7962696e010203", { join_ref: null, ref: null, event: "bin" }],
  ])) {
    const { payload, ...rest } = decode(frame(digits));
    assert.deepEqual(rest, { ...expected, topic: "room:reply" });
    const bytes = rest.event === "phx_reply" ? payload.response : payload;
    assert.equal(hex(bytes), digits.slice(-2 * bytes.byteLength));
  }
});

test("ch_fields_of_a_binary_push_have_a_limit", () => {
  const message = { join_ref: null, ref: "1", topic: "t".repeat(256), event: "e", payload: frame("00") };
  assert.throws(() => encode(message), /at most 255 bytes/);
});

test("ch_j9_address_of_a_connection", () => {
  const params = { a: 1, none: null, o: { x: [1, "zwei"] }, vsn: "2.0.0" };
  const query = "a=1&o%5Bx%5D%5B0%5D=1&o%5Bx%5D%5B1%5D=zwei&vsn=2.0.0";
  for (const [endPoint, expected] of [
    ["ws://h/socket", "ws://h/socket/websocket?"],
    ["ws://h/socket/", "ws://h/socket/websocket?"],
    ["http://h/socket", "ws://h/socket/websocket?"],
    ["https://h/socket", "wss://h/socket/websocket?"],
  ]) {
    assert.equal(endPointURL(String(endPoint), params), expected + query);
  }
});

test("ch_j9_address_relative_to_the_page", (t) => {
  const scope = /** @type {any} */ (globalThis);
  t.after(() => delete scope.location);
  for (const [protocol, endPoint, expected] of [
    ["http:", "/socket", "ws://page:4000/socket/websocket?vsn=2.0.0"],
    ["https:", "/socket", "wss://page:4000/socket/websocket?vsn=2.0.0"],
    ["https:", "//other/socket", "wss://other/socket/websocket?vsn=2.0.0"],
  ]) {
    scope.location = { protocol, host: "page:4000" };
    assert.equal(endPointURL(String(endPoint), { vsn: "2.0.0" }), expected);
  }
});

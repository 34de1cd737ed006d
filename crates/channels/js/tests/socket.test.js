import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { RECONNECT_DELAYS, Socket } from "../wingbeat.js";
import { connected, FakeTransport, fakeSocket, joined, latest } from "./fake.js";

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
});

const dials = () => FakeTransport.dialled.length;

test("ch_j1_reconnects_with_growing_delays_until_a_message_comes", () => {
  const socket = fakeSocket({ reconnectAfterMs: (tries) => RECONNECT_DELAYS[tries - 1] ?? 5000 });
  socket.connect();
  for (const delay of RECONNECT_DELAYS) {
    const before = dials();
    latest().refuse();
    mock.timers.tick(delay - 1);
    assert.equal(dials(), before, `${delay}`);
    mock.timers.tick(1);
    assert.equal(dials(), before + 1, `${delay}`);
  }
  latest().open();
  latest().say(null, null, "room:1", "hello", {});
  latest().drop();
  mock.timers.tick(10);
  assert.equal(dials(), 12);
});

test("ch_j1_a_server_that_opens_and_closes_is_not_hammered", () => {
  const socket = fakeSocket();
  socket.connect();
  latest().open();
  latest().drop(1011);
  mock.timers.tick(100);
  latest().open();
  latest().drop(1011);
  mock.timers.tick(199);
  assert.equal(dials(), 2);
  mock.timers.tick(1);
  assert.equal(dials(), 3);
});

test("ch_j2_close_codes", () => {
  for (const [code, comesBack] of /** @type {[number, boolean][]} */ ([
    [1000, false], [1001, true], [1002, true], [1006, true], [1011, true], [1012, true], [1013, true], [3410, true],
  ])) {
    const socket = connected();
    latest().drop(code);
    assert.equal(socket.connectionState(), "closed");
    mock.timers.tick(60_000);
    assert.equal(dials() > 1, comesBack, `${code}`);
    socket.disconnect();
  }
});

test("ch_j2_connect_works_again_after_1000", () => {
  const socket = connected();
  const channel = joined(socket);
  latest().drop(1000);
  socket.connect();
  latest().open();
  latest().reply();
  assert.equal(channel.state, "joined");
});

test("ch_j5_a_mute_server_is_left", () => {
  const socket = connected();
  const channel = joined(socket);
  /** @type {any[]} */
  const heard = [];
  channel.onError((reason) => heard.push(reason));
  socket.onClose((closed) => heard.push(closed.reason));
  const mute = latest();
  mock.timers.tick(30_000);
  assert.deepEqual(mute.sent.at(-1).slice(2), ["phoenix", "heartbeat", {}]);
  assert.equal(mute.sent.at(-1)[0], null);
  mock.timers.tick(30_000);
  assert.deepEqual(mute.closedWith, { code: 1000, reason: "heartbeat timeout" });
  assert.deepEqual(heard, [{ source: "transport", reason: "heartbeat_timeout" }, "heartbeat timeout"]);
  mock.timers.tick(100);
  latest().open();
  latest().reply();
  assert.equal(channel.state, "joined");
});

test("ch_j5_an_answered_heartbeat_is_followed_by_the_next", () => {
  const socket = connected({ heartbeatIntervalMs: 1000 });
  for (const beat of [1, 2, 3]) {
    mock.timers.tick(1000);
    assert.equal(latest().sent.length, beat);
    latest().reply();
    mock.timers.tick(999);
  }
  assert.equal(dials(), 1);
  assert.ok(socket.isConnected());
});

test("ch_j9_params_are_asked_for_each_connect", () => {
  let asked = 0;
  const socket = fakeSocket({ params: () => ({ asked: ++asked }) });
  socket.connect();
  assert.equal(latest().url, "ws://server/socket/websocket?asked=1&vsn=2.0.0");
  assert.equal(socket.endPointURL(), latest().url);
  latest().refuse();
  mock.timers.tick(100);
  assert.equal(latest().url, "ws://server/socket/websocket?asked=2&vsn=2.0.0");
});

test("ch_j9_params_may_come_later", async () => {
  const socket = fakeSocket({ params: async () => ({ token: "abc" }) });
  socket.connect();
  socket.connect();
  assert.equal(dials(), 0);
  assert.equal(socket.connectionState(), "connecting");
  await null;
  assert.equal(dials(), 1);
  assert.match(latest().url, /token=abc/);
});

test("ch_j9_params_that_come_too_late_are_not_used", async () => {
  const socket = fakeSocket({ params: async () => ({}) });
  socket.connect();
  socket.disconnect();
  await null;
  assert.equal(dials(), 0);
  assert.equal(socket.connectionState(), "closed");
});

test("ch_j9_params_that_fail_are_asked_for_again", async () => {
  let asked = 0;
  /** @type {any[]} */
  const errors = [];
  const socket = fakeSocket({
    params: async () => {
      if (++asked === 1) throw new Error("offline");
      return {};
    },
  });
  socket.onError(({ source, reason, cause }) => errors.push([source, reason, cause.message]));
  socket.connect();
  await null;
  await null;
  assert.deepEqual(errors, [["transport", "connection_error", "offline"]]);
  mock.timers.tick(100);
  await null;
  assert.equal(dials(), 1);
});

test("ch_j9_auth_token_travels_as_a_subprotocol", () => {
  let token = "tok>?~";
  const socket = fakeSocket({ authToken: () => token });
  socket.connect();
  assert.deepEqual(latest().protocols, ["phoenix", "base64url.bearer.phx.dG9rPj9-"]);
  token = "new";
  latest().refuse();
  mock.timers.tick(100);
  assert.deepEqual(latest().protocols, ["phoenix", "base64url.bearer.phx.bmV3"]);
});

test("ch_j13_socket_callbacks_have_refs", () => {
  const socket = fakeSocket();
  /** @type {string[]} */
  const heard = [];
  const refs = [socket.onOpen(() => heard.push("open")), socket.onMessage(() => heard.push("message"))];
  socket.onClose(() => heard.push("close"));
  socket.connect();
  latest().open();
  latest().say(null, null, "t", "e", {});
  latest().drop();
  socket.off(refs);
  mock.timers.tick(100);
  latest().open();
  latest().say(null, null, "t", "e", {});
  latest().drop();
  assert.deepEqual(heard, ["open", "message", "close", "close"]);
});

test("ch_j15_ping", () => {
  const socket = fakeSocket();
  /** @type {number[]} */
  const rtts = [];
  assert.equal(socket.ping((rtt) => rtts.push(rtt)), false);
  socket.connect();
  latest().open();
  assert.equal(socket.ping((rtt) => rtts.push(rtt)), true);
  mock.timers.tick(42);
  latest().reply();
  latest().reply();
  assert.deepEqual(rtts, [42]);
});

test("ch_j16_own_encoding", () => {
  const socket = connected({
    encode: ({ topic, event }, callback) => callback(JSON.stringify({ topic, event })),
    decode: (_, callback) => callback({ join_ref: null, ref: null, topic: "t", event: "e", payload: 1 }),
  });
  /** @type {any[]} */
  const heard = [];
  socket.onMessage(({ payload }) => heard.push(payload));
  socket.channel("t").join();
  assert.deepEqual(latest().sent, [{ topic: "t", event: "phx_join" }]);
  latest().say();
  assert.deepEqual(heard, [1]);
});

test("ch_a_frame_that_is_no_message_is_dropped", () => {
  const socket = connected();
  /** @type {string[]} */
  const reasons = [];
  socket.onError(({ reason }) => reasons.push(reason));
  for (const data of ["{", "[]", "42"]) latest().onmessage?.({ data });
  assert.deepEqual(reasons, ["bad_message", "bad_message", "bad_message"]);
  assert.ok(socket.isConnected());
});

test("ch_raw_messages_wait_for_the_connection_within_a_limit", () => {
  const socket = fakeSocket({ maxBufferedMessages: 1 });
  const message = { join_ref: null, ref: "1", topic: "t", event: "e", payload: {} };
  assert.equal(socket.push(message), true);
  assert.equal(socket.push(message), false);
  socket.connect();
  latest().open();
  assert.deepEqual(latest().events, ["e"]);
});

test("ch_disconnect_stays_away_and_connect_comes_back", () => {
  const socket = connected();
  const channel = joined(socket);
  let disconnected = false;
  socket.disconnect(() => (disconnected = true), 3000, "bye");
  assert.deepEqual(latest().closedWith, { code: 3000, reason: "bye" });
  assert.equal(socket.connectionState(), "closing");
  latest().drop(3000);
  assert.ok(disconnected);
  mock.timers.tick(60_000);
  assert.equal(dials(), 1);
  socket.connect();
  latest().open();
  latest().reply();
  assert.equal(channel.state, "joined");
});

test("ch_a_close_that_is_never_answered_is_over_after_two_seconds", () => {
  const socket = connected();
  let disconnected = false;
  socket.disconnect(() => (disconnected = true));
  mock.timers.tick(1999);
  assert.ok(!disconnected);
  mock.timers.tick(1);
  assert.ok(disconnected);
  assert.equal(socket.connectionState(), "closed");
});

test("ch_connect_while_closing_dials_anew", () => {
  const socket = connected();
  const old = latest();
  socket.disconnect();
  socket.connect();
  assert.equal(dials(), 2);
  latest().open();
  old.drop(1000);
  assert.ok(socket.isConnected());
  mock.timers.tick(5000);
  assert.equal(dials(), 2);
});

test("ch_refs_are_counted", () => {
  const socket = new Socket("ws://server/socket", { transport: /** @type {any} */ (FakeTransport) });
  assert.deepEqual([socket.makeRef(), socket.makeRef()], ["1", "2"]);
});

test("ch_replace_transport", () => {
  const socket = fakeSocket();
  class Other extends FakeTransport {}
  socket.replaceTransport(/** @type {any} */ (FakeTransport));
  assert.equal(dials(), 0, "nothing is dialled before connect");
  socket.connect();
  latest().open();
  const old = latest();
  socket.replaceTransport(/** @type {any} */ (Other));
  assert.ok(latest() instanceof Other);
  assert.ok(old.closedWith);
  latest().open();
  mock.timers.tick(5000);
  assert.equal(dials(), 2);
  assert.equal(socket.protocol(), "ws");
});

test("ch_logger_is_told_of_everything_but_the_params", () => {
  /** @type {string[]} */
  const lines = [];
  const logger = (/** @type {any[]} */ ...args) => void lines.push(JSON.stringify(args));
  const socket = fakeSocket({ logger, params: { token: "secret" } });
  assert.ok(socket.hasLogger());
  socket.connect();
  latest().open();
  joined(socket);
  latest().drop();
  assert.ok(lines.length >= 4);
  assert.ok(!lines.some((line) => line.includes("secret")));
});

/** Plays the page of a browser: `hide` and `show` are what a user does with its tab. */
function fakePage() {
  const scope = /** @type {any} */ (globalThis);
  scope.document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  scope.window = new EventTarget();
  const turn = (/** @type {string} */ state) => {
    scope.document.visibilityState = state;
    scope.document.dispatchEvent(new Event("visibilitychange"));
  };
  return {
    hide: () => turn("hidden"),
    show: () => turn("visible"),
    leave: () => scope.window.dispatchEvent(new Event("pagehide")),
    comeBack: () => scope.window.dispatchEvent(new Event("pageshow")),
    remove: () => {
      delete scope.document;
      delete scope.window;
    },
  };
}

test("ch_j17_a_hidden_page_waits_and_a_visible_one_reconnects_at_once", (t) => {
  const page = fakePage();
  t.after(page.remove);
  const socket = connected();
  page.hide();
  latest().drop();
  mock.timers.tick(60_000);
  assert.equal(dials(), 1);
  page.show();
  assert.equal(dials(), 2);
  latest().open();
  assert.ok(socket.isConnected());
  socket.disconnect();
  latest().drop(1005);
  page.hide();
  page.show();
  page.comeBack();
  assert.equal(dials(), 2, "who has disconnected is not brought back");
});

test("ch_j17_hidden_while_waiting_to_reconnect", (t) => {
  const page = fakePage();
  t.after(page.remove);
  connected();
  latest().drop();
  page.hide();
  mock.timers.tick(60_000);
  assert.equal(dials(), 1);
  page.show();
  assert.equal(dials(), 2);
});

test("ch_j17_a_first_connect_does_not_wait_for_the_page_to_be_seen", (t) => {
  const page = fakePage();
  t.after(page.remove);
  page.hide();
  fakeSocket().connect();
  assert.equal(dials(), 1);
});

test("ch_j17_a_clean_close_is_not_undone_by_showing_the_page", (t) => {
  const page = fakePage();
  t.after(page.remove);
  connected();
  page.hide();
  latest().drop(1000);
  page.show();
  assert.equal(dials(), 1);
});

test("ch_j17_a_page_put_away_disconnects_and_comes_back", (t) => {
  const page = fakePage();
  t.after(page.remove);
  connected();
  page.comeBack();
  assert.equal(dials(), 1, "the first pageshow changes nothing");
  page.leave();
  assert.ok(latest().closedWith);
  latest().drop(1005);
  page.comeBack();
  assert.equal(dials(), 2);
  latest().open();
  mock.timers.tick(10_000);
  assert.equal(dials(), 2);
});

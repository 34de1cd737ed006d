import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { connected, fakeSocket, joined, latest } from "./fake.js";

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
});

/** Collects what is called back: `heard.as("name")` is a callback, `heard.all` what came. */
function listen() {
  /** @type {any[]} */
  const all = [];
  return { all, as: (/** @type {string} */ name) => (/** @type {any} */ what) => void all.push([name, what]) };
}

test("ch_join_push_reply", () => {
  const heard = listen();
  const channel = connected().channel("room:1", { last: 5 });
  channel.join().receive("ok", heard.as("joined"));
  const [joinRef, ref, ...rest] = latest().sent[0];
  assert.equal(joinRef, ref);
  assert.deepEqual(rest, ["room:1", "phx_join", { last: 5 }]);
  latest().reply("ok", { n: 1 });
  assert.equal(channel.state, "joined");

  channel.push("said", { m: 1 }).receive("ok", heard.as("ok")).receive("error", heard.as("error"));
  assert.deepEqual(latest().sent[1].slice(2), ["room:1", "said", { m: 1 }]);
  assert.equal(latest().sent[1][0], joinRef);
  latest().reply("error", { reason: "no" });
  assert.deepEqual(heard.all, [["joined", { n: 1 }], ["error", { reason: "no" }]]);
});

test("ch_misuse_throws", () => {
  const channel = connected().channel("room:1");
  assert.throws(() => channel.push("said"), /after channel.join/);
  channel.join();
  assert.throws(() => channel.join(), /joined once/);
});

test("ch_j3_a_refused_join_is_tried_again_with_backoff", () => {
  const heard = listen();
  const channel = connected().channel("room:1");
  channel.join().receive("error", heard.as("refused")).receive("ok", heard.as("ok"));
  for (const delay of [1000, 2000, 3000]) {
    const joins = latest().sent.length;
    latest().reply("error", { reason: "full" });
    assert.equal(channel.state, "errored");
    mock.timers.tick(delay - 1);
    assert.equal(latest().sent.length, joins);
    mock.timers.tick(1);
    assert.equal(latest().sent.length, joins + 1);
  }
  latest().reply();
  assert.deepEqual(heard.all.map(([name]) => name), ["refused", "refused", "refused", "ok"]);

  // Admitted, the delays begin anew.
  latest().say(channel.joinRef(), channel.joinRef(), "room:1", "phx_error", { reason: "channel_crash" });
  mock.timers.tick(1000);
  assert.equal(channel.state, "joining");
});

test("ch_j4_all_channels_rejoin_on_open", () => {
  const socket = connected();
  const channels = [joined(socket, "room:1"), joined(socket, "room:2")];
  const heard = listen();
  channels[0]?.onError(heard.as("error"));
  latest().drop();
  assert.deepEqual(channels.map(({ state }) => state), ["errored", "errored"]);
  assert.deepEqual(heard.all, [["error", { source: "transport", reason: "connection_closed" }]]);
  mock.timers.tick(100);
  latest().open();
  assert.deepEqual(latest().sent.map((message) => message.slice(2, 4)),
    [["room:1", "phx_join"], ["room:2", "phx_join"]]);
});

test("ch_j4_a_join_made_offline_is_sent_once", () => {
  const socket = fakeSocket();
  const channel = socket.channel("room:1");
  channel.join();
  socket.connect();
  latest().refuse();
  mock.timers.tick(100);
  latest().open();
  assert.deepEqual(latest().events, ["phx_join"]);
  latest().reply();
  assert.equal(channel.state, "joined");
});

test("ch_j4_a_join_made_while_connecting_is_sent_on_open", () => {
  const socket = fakeSocket();
  socket.connect();
  const channel = socket.channel("room:1");
  channel.join();
  latest().open();
  assert.deepEqual(latest().events, ["phx_join"]);
  latest().reply();
  assert.equal(channel.state, "joined");
});

test("ch_j6_push_timeout", () => {
  const heard = listen();
  const channel = joined(connected());
  const push = channel.push("slow", {}, 500).receive("timeout", heard.as("timeout")).receive("ok", heard.as("ok"));
  mock.timers.tick(499);
  assert.deepEqual(heard.all, []);
  mock.timers.tick(1);
  assert.deepEqual(heard.all, [["timeout", {}]]);
  latest().say(channel.joinRef(), push.ref, "room:1", "phx_reply", { status: "ok", response: {} });
  assert.equal(heard.all.length, 1, "an answer after the timeout is not heard");
});

test("ch_j6_join_timeout_leaves_and_joins_again", () => {
  const heard = listen();
  const channel = connected().channel("room:1");
  channel.join(500).receive("timeout", heard.as("timeout"));
  const first = channel.joinRef();
  mock.timers.tick(500);
  assert.deepEqual(latest().events, ["phx_join", "phx_leave"]);
  assert.equal(latest().sent[1][0], first);
  mock.timers.tick(1000);
  assert.deepEqual(latest().events, ["phx_join", "phx_leave", "phx_join"]);
  assert.notEqual(channel.joinRef(), first);
  latest().reply();
  assert.equal(channel.state, "joined");
  assert.equal(heard.all.length, 1);
});

test("ch_j7_pushes_before_the_join_are_sent_after_it", () => {
  const channel = connected().channel("room:1");
  channel.join();
  channel.push("one");
  channel.push("two");
  assert.deepEqual(latest().events, ["phx_join"]);
  latest().reply();
  assert.deepEqual(latest().events, ["phx_join", "one", "two"]);
  assert.equal(latest().sent[1][0], channel.joinRef());
});

test("ch_j7_a_full_buffer_answers_at_once", () => {
  const heard = listen();
  const channel = connected({ maxBufferedPushes: 2 }).channel("room:1");
  channel.join();
  for (const event of ["one", "two", "three"]) channel.push(event).receive("error", heard.as(event));
  assert.deepEqual(heard.all, [["three", { source: "client", reason: "buffer_full" }]]);
  latest().reply();
  assert.deepEqual(latest().events, ["phx_join", "one", "two"]);
});

test("ch_j7_bytes_the_browser_has_not_sent_are_bounded", () => {
  const heard = listen();
  const channel = joined(connected({ maxBufferedBytes: 10 }));
  latest().bufferedAmount = 11;
  channel.push("said").receive("error", heard.as("error"));
  assert.deepEqual(heard.all, [["error", { source: "client", reason: "buffer_full" }]]);
});

test("ch_j8_an_expired_push_is_not_sent", () => {
  const heard = listen();
  const channel = connected().channel("room:1");
  channel.join(20_000);
  channel.push("late", {}, 10_000).receive("timeout", heard.as("timeout"));
  channel.push("patient", {}, 15_000);
  mock.timers.tick(11_000);
  latest().reply();
  assert.deepEqual(latest().events, ["phx_join", "patient"]);
  assert.equal(heard.all.length, 1);
});

test("ch_j9_join_params_are_asked_for_each_join", async () => {
  let asked = 0;
  const channel = connected().channel("room:1", async () => ({ asked: ++asked }));
  channel.join();
  await null;
  await null;
  assert.deepEqual(latest().sent[0][4], { asked: 1 });
  latest().reply("error");
  mock.timers.tick(1000);
  await null;
  await null;
  assert.deepEqual(latest().sent[1][4], { asked: 2 });
});

test("ch_j9_join_params_that_come_too_late_are_not_used", async () => {
  /** @type {((params: any) => void)[]} */
  const asked = [];
  const socket = connected();
  const channel = socket.channel("room:1", () => new Promise((resolve) => asked.push(resolve)));
  channel.join();
  latest().drop();
  mock.timers.tick(100);
  latest().open();
  assert.equal(asked.length, 2);
  asked[0]?.({ n: 1 });
  await null;
  assert.deepEqual(latest().events, []);
  asked[1]?.({ n: 2 });
  await null;
  assert.deepEqual(latest().sent.map((message) => message[4]), [{ n: 2 }]);
});

test("ch_j9_join_params_that_fail_are_a_refusal", () => {
  const heard = listen();
  const channel = connected().channel("room:1", () => {
    throw new Error("no");
  });
  channel.join().receive("error", ({ reason }) => heard.as("error")(reason));
  // The answer was there before the callback: it is called at once.
  assert.deepEqual(heard.all, [["error", "params_error"]]);
});

test("ch_j10_messages_of_an_earlier_join_are_dropped", () => {
  const socket = connected();
  const channel = joined(socket);
  const old = channel.joinRef();
  latest().drop();
  mock.timers.tick(100);
  latest().open();
  latest().reply();
  const heard = listen();
  channel.on("said", heard.as("said"));
  channel.onClose(heard.as("close"));
  latest().say(old, null, "room:1", "said", { n: 1 });
  latest().say(old, old, "room:1", "phx_close", {});
  latest().say(channel.joinRef(), null, "room:1", "said", { n: 2 });
  latest().say(null, null, "room:1", "said", { n: 3 });
  latest().say(null, null, "room:2", "said", { n: 4 });
  assert.deepEqual(heard.all, [["said", { n: 2 }], ["said", { n: 3 }]]);
});

test("ch_j11_a_second_channel_of_a_topic_makes_the_first_leave", () => {
  const socket = connected();
  const first = joined(socket);
  const second = socket.channel("room:1");
  second.join();
  assert.deepEqual(latest().events, ["phx_join", "phx_leave", "phx_join"]);
  const [joinRef, ref] = latest().sent[1];
  latest().reply();
  latest().say(joinRef, ref, "room:1", "phx_reply", { status: "ok", response: {} });
  assert.deepEqual([first.state, second.state], ["closed", "joined"]);
  assert.deepEqual(socket.channels, [second]);
});

test("ch_j12_receive_after_the_answer", async () => {
  const heard = listen();
  const channel = joined(connected());
  const push = channel.push("said");
  latest().reply("ok", { n: 1 });
  push.receive("ok", heard.as("ok")).receive("error", heard.as("error"));
  assert.deepEqual(heard.all, [["ok", { n: 1 }]]);
  assert.deepEqual(await push.answer(), { n: 1 });
  push.settle("error", {});
  assert.deepEqual(push.received, { status: "ok", response: { n: 1 } }, "an answer is final");
  const refused = channel.push("said").answer();
  latest().reply("error", { reason: "no" });
  await assert.rejects(refused, { status: "error", response: { reason: "no" } });
});

test("ch_j13_on_and_off", () => {
  const heard = listen();
  const channel = joined(connected());
  const ref = channel.on("said", heard.as("first"));
  channel.on("said", heard.as("second"));
  channel.on("other", heard.as("other"));
  const say = (/** @type {string} */ event) => latest().say(null, null, "room:1", event, { n: 1 });
  channel.off("other", ref);
  say("said");
  channel.off("said", ref);
  say("said");
  channel.off("said");
  say("said");
  say("other");
  assert.deepEqual(heard.all.map(([name]) => name), ["first", "second", "second", "other"]);
});

test("ch_j14_on_message_sees_every_payload_first", () => {
  const heard = listen();
  const channel = joined(connected());
  channel.onMessage = (event, payload) => (event === "said" ? { ...payload, seen: true } : payload);
  channel.on("said", heard.as("said"));
  latest().say(null, null, "room:1", "said", { n: 1 });
  assert.deepEqual(heard.all, [["said", { n: 1, seen: true }]]);
});

test("ch_leave", () => {
  const heard = listen();
  const socket = connected();
  const channel = joined(socket);
  channel.on("said", heard.as("said"));
  channel.onClose(heard.as("close"));
  const unanswered = channel.push("said");
  unanswered.receive("error", heard.as("unanswered"));
  channel.leave().receive("ok", heard.as("left"));
  assert.deepEqual(latest().events, ["phx_join", "said", "phx_leave"]);
  latest().say(null, null, "room:1", "said", {});
  channel.push("late").receive("error", heard.as("late"));
  latest().reply();
  const closed = { source: "client", reason: "channel_closed" };
  assert.deepEqual(heard.all, [["late", closed], ["unanswered", closed], ["close", "leave"], ["left", {}]]);
  assert.deepEqual(socket.channels, []);
});

test("ch_leave_is_over_when_the_connection_is", () => {
  const heard = listen();
  const socket = connected();
  const channel = joined(socket);
  channel.onClose(heard.as("close"));
  channel.onError(heard.as("error"));
  channel.leave();
  latest().drop();
  assert.deepEqual(heard.all, [["close", "leave"]]);
  mock.timers.tick(100);
  latest().open();
  assert.deepEqual(latest().events, []);
});

test("ch_leave_without_a_connection_is_done_at_once", () => {
  const heard = listen();
  const socket = connected();
  const channel = joined(socket);
  latest().drop();
  channel.leave().receive("ok", heard.as("left"));
  assert.equal(heard.all.length, 1);
  mock.timers.tick(100);
  latest().open();
  assert.deepEqual(latest().events, []);
  assert.throws(() => channel.join(), /joined once/);
});

test("ch_phx_close_ends_a_channel_for_good", () => {
  const heard = listen();
  const socket = connected();
  const channel = joined(socket);
  channel.onClose(heard.as("close"));
  latest().say(channel.joinRef(), channel.joinRef(), "room:1", "phx_close", {});
  assert.equal(channel.state, "closed");
  mock.timers.tick(60_000);
  assert.deepEqual(latest().events.filter((event) => event !== "heartbeat"), ["phx_join"]);
  assert.deepEqual(heard.all, [["close", {}]]);
});

test("ch_a_callback_that_throws_does_not_stop_the_others", (t) => {
  const heard = listen();
  const channel = joined(connected());
  const thrown = listen();
  t.mock.method(globalThis, "queueMicrotask", (/** @type {() => void} */ rethrow) => {
    assert.throws(rethrow, /mine/);
    thrown.as("error")(null);
  });
  channel.on("said", () => {
    throw new Error("mine");
  });
  channel.on("said", heard.as("said"));
  latest().say(null, null, "room:1", "said", {});
  assert.equal(heard.all.length, 1);
  assert.equal(thrown.all.length, 1);
});

// The npm package `phoenix` as it is, over npm's `ws`, against the reference app.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { Socket } from "phoenix";
import { WebSocket } from "ws";

import { start } from "./server.js";

/** Longer than anything here takes; what does not come by then does not come. */
const limit = { timeout: 20_000 };

let server;
let sockets = [];

before(async () => {
  server = await start();
});

after(() => server.stop());

afterEach(() => {
  for (const socket of sockets) socket.disconnect();
  sockets = [];
});

function connect(options = {}, path = "/socket") {
  const socket = new Socket(`ws://${server.address}${path}`, {
    transport: WebSocket,
    reconnectAfterMs: () => 20,
    rejoinAfterMs: () => 20,
    ...options,
  });
  sockets.push(socket);
  socket.connect();
  return socket;
}

/** What a push or join is answered: its status and response. */
function answer(push) {
  return new Promise((resolve) => {
    for (const status of ["ok", "error", "timeout"]) push.receive(status, (response) => resolve({ status, response }));
  });
}

/** The next payload of this event. */
function next(channel, event) {
  return new Promise((resolve) => {
    const ref = channel.on(event, (payload) => {
      channel.off(event, ref);
      resolve(payload);
    });
  });
}

async function join(socket, topic, params = {}) {
  const channel = socket.channel(topic, params);
  assert.deepEqual(await answer(channel.join()), { status: "ok", response: {} });
  return channel;
}

const admin = (path) => fetch(`http://${server.address}${path}`, { method: "POST" });

test("joins with params and hears the reply", limit, async () => {
  const channel = connect().channel("room:params", { a: 1, "ż": [null, true] });
  const { status, response } = await answer(channel.join());
  assert.equal(status, "ok");
  assert.deepEqual(response, { params: { a: 1, "ż": [null, true] } });
});

test("is told why a join is refused", limit, async () => {
  const { status, response } = await answer(connect().channel("room:deny").join());
  assert.deepEqual({ status, response }, { status: "error", response: { reason: "unauthorized" } });
  const unmatched = await answer(connect().channel("nosuch:1").join());
  assert.deepEqual(unmatched, { status: "error", response: { reason: "unmatched topic" } });
});

test("pushes and gets ok, error, late and empty replies", limit, async () => {
  const channel = await join(connect(), "room:replies");
  const payload = { hello: "wörld 🐦", nested: { n: [1, 2.5, null] } };
  assert.deepEqual(await answer(channel.push("echo", payload)), { status: "ok", response: payload });
  assert.deepEqual(await answer(channel.push("fail", {})), { status: "error", response: { reason: "no" } });
  assert.deepEqual(await answer(channel.push("reply_ok", {})), { status: "ok", response: {} });
  assert.deepEqual(await answer(channel.push("reply_error", {})), { status: "error", response: {} });
  assert.deepEqual(await answer(channel.push("later", { n: 1 })), { status: "ok", response: { n: 1 } });
});

test("a push that is not answered times out, and the next is answered", limit, async () => {
  const channel = await join(connect(), "room:silent");
  assert.equal((await answer(channel.push("silent", {}, 100))).status, "timeout");
  assert.equal((await answer(channel.push("echo", {}))).status, "ok");
});

test("pushes made before the join are sent after it, in order", limit, async () => {
  const channel = connect().channel("room:early");
  channel.join();
  const answers = [1, 2, 3].map((n) => answer(channel.push("echo", { n })));
  assert.deepEqual((await Promise.all(answers)).map(({ response }) => response.n), [1, 2, 3]);
});

test("hears what the server pushes, at once after the join and later", limit, async () => {
  const channel = connect().channel("room:welcome");
  const welcome = next(channel, "welcome");
  channel.join();
  assert.deepEqual(await welcome, { topic: "room:welcome" });
  const pushed = next(channel, "pushed");
  channel.push("push_me", { x: [1] });
  assert.deepEqual(await pushed, { x: [1] });
});

test("broadcasts reach everyone, or everyone else, in order", limit, async () => {
  const [ann, bob] = [await join(connect(), "room:both"), await join(connect(), "room:both")];
  const heard = { ann: [], bob: [] };
  const done = new Promise((resolve) => {
    bob.on("shout", ({ n }) => (heard.bob.push(n), n === 9 && resolve()));
  });
  ann.on("shout", ({ n }) => heard.ann.push(n));
  ann.on("from", () => heard.ann.push("own"));
  const from = next(bob, "from");
  for (let n = 0; n < 10; n++) ann.push("shout", { n });
  ann.push("from", { only: "others" });
  assert.deepEqual(await from, { only: "others" });
  await done;
  await answer(ann.push("echo", {}));
  assert.deepEqual(heard, { ann: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], bob: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] });
});

test("leaves, hears nothing more, and may join again", limit, async () => {
  const socket = connect();
  const [leaver, stayer] = [await join(socket, "room:leave"), await join(connect(), "room:leave")];
  const closed = new Promise((resolve) => leaver.onClose(resolve));
  let heard = 0;
  leaver.on("shout", () => heard++);
  assert.equal((await answer(leaver.leave())).status, "ok");
  await closed;
  const shout = next(stayer, "shout");
  stayer.push("shout", {});
  await shout;
  const again = await join(socket, "room:leave");
  assert.equal((await answer(again.push("echo", { again: 1 }))).status, "ok");
  assert.equal(heard, 0);
});

test("is told of a crash, rejoins by itself and goes on", limit, async () => {
  const socket = connect();
  const neighbour = await join(socket, "room:neighbour");
  const channel = socket.channel("room:crash");
  let joins = 0;
  const rejoined = new Promise((resolve) => channel.join().receive("ok", () => ++joins === 2 && resolve()));
  await answer(channel.joinPush);
  const told = new Promise((resolve) => channel.onError(resolve));
  channel.push("crash", {});
  assert.deepEqual(await told, { reason: "channel_crash" });
  await rejoined;
  assert.deepEqual(await answer(channel.push("echo", { back: 1 })), { status: "ok", response: { back: 1 } });
  assert.equal((await answer(neighbour.push("echo", {}))).status, "ok", "the neighbour noticed nothing");
});

test("a channel that stops on purpose is closed and stays so", limit, async () => {
  const channel = await join(connect(), "room:stop");
  const closed = new Promise((resolve) => channel.onClose(resolve));
  const reply = answer(channel.push("stop_reply", {}));
  assert.deepEqual(await reply, { status: "ok", response: { bye: true } });
  await closed;
  assert.equal(channel.state, "closed");
});

test("a second channel of the same topic takes over from the first", limit, async () => {
  const socket = connect();
  const first = await join(socket, "room:twice");
  const closed = new Promise((resolve) => first.onClose(resolve));
  const second = await join(socket, "room:twice");
  await closed;
  assert.deepEqual((await answer(second.push("echo", { n: 2 }))).response, { n: 2 });
});

test("heartbeats are answered, and so is a ping", limit, async () => {
  const socket = connect({ heartbeatIntervalMs: 20 });
  let beats = 0;
  await new Promise((resolve) => {
    socket.onMessage(({ topic, event, payload }) => {
      if (topic !== "phoenix") return;
      assert.equal(event, "phx_reply");
      assert.equal(payload.status, "ok");
      if (++beats === 3) resolve();
    });
  });
  const rtt = await new Promise((resolve) => assert.ok(socket.ping(resolve)));
  assert.ok(rtt >= 0);
});

test("connect params and the socket's id reach the channel", limit, async () => {
  const channel = connect({ params: { uid: "7", o: { x: [1] } } }).channel("room:whoami");
  const { response } = await answer(channel.join());
  assert.equal(response.id, "user_socket:7");
  assert.deepEqual(response.params, { uid: "7", o: { x: { 0: "1" } } });
});

test("a signed token lets in, a forged one does not", limit, async () => {
  const token = await (await admin("/admin/token?id=42")).text();
  const { response } = await answer(connect({ params: { token } }, "/auth_socket").channel("room:whoami").join());
  assert.equal(response.id, "users:42");
  assert.equal(response.user_id, 42);
  const forged = connect({ params: { token: `${token}x` } }, "/auth_socket");
  await new Promise((resolve) => forged.onError(resolve));
  assert.equal(forged.isConnected(), false);
});

test("a socket that the server disconnects comes back and rejoins", limit, async () => {
  const socket = connect({ params: { uid: "gone" } });
  const channel = await join(socket, "room:disconnect");
  const closed = new Promise((resolve) => socket.onClose((event) => resolve(event.code)));
  const rejoined = new Promise((resolve) => channel.joinPush.receive("ok", resolve));
  const reopened = new Promise((resolve) => socket.onOpen(resolve));
  assert.equal(await (await admin("/admin/disconnect?id=user_socket:gone")).text(), "sent");
  assert.equal(await closed, 1001);
  await Promise.all([reopened, rejoined]);
  assert.equal((await answer(channel.push("echo", {}))).status, "ok");
});

test("the server itself broadcasts", limit, async () => {
  const channel = await join(connect(), "room:admin");
  const news = next(channel, "news");
  await admin("/admin/broadcast?topic=room:admin&event=news");
  assert.deepEqual(await news, { from: "server" });
});

test("binary payloads go both ways", { ...limit, skip: "waits for binary frames" }, async () => {
  const channel = await join(connect(), "room:binary");
  const { response } = await answer(channel.push("bin", new Uint8Array([1, 2, 0, 255]).buffer));
  assert.deepEqual([...new Uint8Array(response)], [1, 2, 0, 255]);
});

test("reconnects and rejoins after the server was killed and started again", limit, async () => {
  const socket = connect();
  const channel = await join(socket, "room:restart");
  const lost = new Promise((resolve) => socket.onError(resolve));
  const { address } = server;
  await server.stop();
  await lost;
  const early = answer(channel.push("echo", { buffered: 1 }));
  server = await start(address);
  assert.deepEqual(await early, { status: "ok", response: { buffered: 1 } });
  const shout = next(channel, "shout");
  channel.push("shout", { on: "we go" });
  assert.deepEqual(await shout, { on: "we go" });
});

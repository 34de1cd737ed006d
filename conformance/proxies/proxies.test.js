// Through every lane: the server sees who the client is, bytes come back as they went, and a drain is a Close frame.

import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { test } from "node:test";
import { WebSocket } from "ws";
import { startAll } from "./programs.js";

/** Where the clients are; the proxies themselves are at 127.0.0.1. */
const CLIENT = "127.0.0.9";

/** What a client may say to be taken for somebody else. */
const LIES = {
  "X-Forwarded-For": "192.0.2.66",
  "X-Forwarded-Proto": "https",
  "X-Forwarded-Host": "bank.example.com",
  "X-Real-IP": "192.0.2.66",
  Forwarded: 'for=192.0.2.66;proto=https;host="bank.example.com"',
};

/** Whether the lane tells the client's port, too, and how the client speaks. */
const LANES = {
  NGINX: { withPort: false, scheme: "ws" },
  NGINX_UNIX: { withPort: false, scheme: "ws" },
  NGINX_STREAM: { withPort: true, scheme: "ws" },
  HAPROXY: { withPort: true, scheme: "ws" },
  HAPROXY_TLS: { withPort: true, scheme: "wss" },
  HAPROXY_HTTP: { withPort: false, scheme: "ws" },
};

const soon = () => ({ signal: AbortSignal.timeout(20_000) });

/** An open socket, with what the server said first. */
async function open(name, lanes) {
  const options = { localAddress: CLIENT, headers: LIES, rejectUnauthorized: false, perMessageDeflate: false };
  const socket = new WebSocket(`${LANES[name].scheme}://${lanes[name]}/`, options);
  const [data] = await once(socket, "message", soon());
  return { socket, seen: JSON.parse(data), port: socket._socket.localPort };
}

test("who the client is", async (t) => {
  const { lanes } = await startAll(t);
  for (const [name, { withPort, scheme }] of Object.entries(LANES)) {
    await t.test(name, async () => {
      const { socket, seen, port } = await open(name, lanes);
      const address = `${CLIENT}:${withPort ? port : 0}`;
      assert.deepEqual(seen, { address, scheme: scheme === "wss" ? "https" : "http", host: lanes[name] });
      for (const message of [Buffer.alloc(0), Buffer.from("größe"), Buffer.alloc(3_000, 7), Buffer.alloc(1 << 20, 9)]) {
        const echoed = once(socket, "message", soon());
        socket.send(message);
        assert.ok(message.equals((await echoed)[0]), `${message.length} bytes`);
      }
      const closed = once(socket, "close", soon());
      socket.close(3001, "enough");
      assert.equal((await closed)[0], 3001);
    });
  }
});

test("a drain reaches the clients as Close 1012", async (t) => {
  const { app, lanes } = await startAll(t);
  const names = Object.keys(LANES);
  const sockets = await Promise.all(names.flatMap((name) => [open(name, lanes), open(name, lanes)]));
  const closed = sockets.map(({ socket }) => once(socket, "close", soon()));
  const ended = once(app, "exit", soon());
  app.kill("SIGTERM");
  for (const [at, end] of closed.entries()) {
    const [code, reason] = await end;
    assert.deepEqual([code, reason.toString()], [1012, "restart"], names[at >> 1]);
  }
  assert.deepEqual(await ended, [0, null], "the server has ended by itself");
});

test("other requests pass, too", async (t) => {
  const { lanes } = await startAll(t);
  for (const name of ["NGINX", "NGINX_UNIX", "HAPROXY_HTTP"]) {
    const [host, port] = lanes[name].split(":");
    const asked = request({ host, port, path: "/nothing", headers: LIES, localAddress: CLIENT });
    asked.end();
    const [response] = await once(asked, "response", soon());
    assert.equal(response.statusCode, 404, name);
    response.resume();
  }
});

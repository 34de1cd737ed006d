// The npm package `ws`, as client of our server and as server of our client.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { messages } from "./payloads.js";
import { runClient, startEcho } from "./programs.js";

const PAYLOAD_BYTES = messages().reduce((sum, message) => sum + Buffer.byteLength(message), 0);

/** What a client of `ws` offers, and what our server must answer. */
const OFFERS = {
  "as it comes": [{}, "permessage-deflate"],
  "every message": [{ threshold: 0 }, "permessage-deflate"],
  "no takeover on either side": [
    { threshold: 0, serverNoContextTakeover: true, clientNoContextTakeover: true },
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
  ],
  "a small window of the server": [{ threshold: 0, serverMaxWindowBits: 9 }, "permessage-deflate; server_max_window_bits=9"],
  "a small window of the client": [{ threshold: 0, clientMaxWindowBits: 10 }, "permessage-deflate; client_max_window_bits=10"],
  "small windows, no takeover": [
    { threshold: 0, serverMaxWindowBits: 11, clientMaxWindowBits: 12, serverNoContextTakeover: true, clientNoContextTakeover: true },
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=11; client_max_window_bits=12",
  ],
};

/** The parameters as a set: their order is free. */
const parameters = (extension) => extension.split(/;\s*/).sort();

async function open(url, perMessageDeflate) {
  const socket = new WebSocket(url, { perMessageDeflate });
  const opened = once(socket, "open");
  const [response] = await once(socket, "upgrade");
  await opened;
  return { socket, answer: response.headers["sec-websocket-extensions"] ?? "" };
}

/** Sends and awaits the echo. */
async function echo(socket, message) {
  const echoed = once(socket, "message", { signal: AbortSignal.timeout(20_000) });
  socket.send(message);
  const [data, isBinary] = await echoed;
  assert.equal(isBinary, typeof message !== "string");
  assert.ok(Buffer.from(message).equals(data), `${Buffer.byteLength(message)} bytes came back as ${data.length}`);
}

async function close(socket) {
  const closed = once(socket, "close");
  socket.close(1000, "enough");
  assert.equal((await closed)[0], 1000);
}

for (const [name, [offer, expected]] of Object.entries(OFFERS)) {
  test(`ws as client, compressed: ${name}`, async (t) => {
    const { socket, answer } = await open(await startEcho(t), offer);
    assert.deepEqual(parameters(answer), parameters(expected));
    for (const message of messages()) await echo(socket, message);
    // A third is noise, a third is nothing but sevens.
    assert.ok(socket._socket.bytesRead < PAYLOAD_BYTES * 0.7, `${socket._socket.bytesRead} of ${PAYLOAD_BYTES} bytes came`);
    await close(socket);
  });
}

test("ws as client, plain", async (t) => {
  const { socket, answer } = await open(await startEcho(t), false);
  assert.equal(answer, "");
  for (const message of messages()) await echo(socket, message);
  assert.ok(socket._socket.bytesRead > PAYLOAD_BYTES);
  await close(socket);
});

test("ws as client, fragments and pings between them", async (t) => {
  const { socket } = await open(await startEcho(t), { threshold: 0 });
  for (let round = 0; round < 3; round += 1) {
    const echoed = once(socket, "message");
    for (let piece = 0; piece < 40; piece += 1) {
      socket.send(`piece ${piece}, `.repeat(piece * 10), { fin: false });
      const answered = once(socket, "pong");
      socket.ping(`ping ${piece}`);
      assert.equal(String((await answered)[0]), `ping ${piece}`);
    }
    socket.send("the end", { fin: true });
    const [data] = await echoed;
    const whole = Array.from({ length: 40 }, (_, piece) => `piece ${piece}, `.repeat(piece * 10)).join("") + "the end";
    assert.equal(String(data), whole);
  }
  await close(socket);
});

/** How a server of `ws` is set up, what our client is told to offer, and what they must agree on. */
const SERVERS = {
  "as it comes": [{}, [], "permessage-deflate; server_no_context_takeover; client_no_context_takeover"],
  "with takeover": [{ threshold: 0 }, ["--takeover"], "permessage-deflate"],
  "takeover that the server refuses": [
    { threshold: 0, serverNoContextTakeover: true, clientNoContextTakeover: true },
    ["--takeover"],
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
  ],
  "small windows that the server wants": [
    { threshold: 0, serverMaxWindowBits: 10, clientMaxWindowBits: 9 },
    ["--takeover"],
    "permessage-deflate; server_max_window_bits=10; client_max_window_bits=9",
  ],
  "small windows that we want": [
    { threshold: 0 },
    ["--takeover", "--server-max-window-bits", "9", "--client-max-window-bits", "11"],
    "permessage-deflate; server_max_window_bits=9; client_max_window_bits=11",
  ],
  "plain, as the server has none": [false, [], "nothing"],
  "plain, as we offer nothing": [{}, ["--plain"], "nothing"],
};

for (const [name, [perMessageDeflate, options, expected]] of Object.entries(SERVERS)) {
  test(`ws as server: ${name}`, async (t) => {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate });
    t.after(() => server.close());
    await once(server, "listening");
    const traffic = { received: 0, payload: 0, count: 0 };
    server.on("connection", (socket) => {
      socket.on("message", (data, isBinary) => {
        traffic.payload += data.length;
        traffic.count += 1;
        traffic.received = socket._socket.bytesRead;
        socket.send(data, { binary: isBinary });
      });
    });
    const { agreed, count } = await runClient(`ws://127.0.0.1:${server.address().port}/`, options);
    assert.deepEqual(parameters(agreed), parameters(expected));
    assert.ok(count > 40);
    assert.equal(count, traffic.count);
    const isCompressed = traffic.received < traffic.payload * 0.7;
    assert.equal(isCompressed, expected !== "nothing", `${traffic.received} bytes for ${traffic.payload}`);
  });
}

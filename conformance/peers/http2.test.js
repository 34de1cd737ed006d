// WebSockets over HTTP/2 (RFC 8441): Node's own http2 as client, and Chromium.

import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { messages } from "./payloads.js";
import { startHttp2App } from "./programs.js";

const MASK = [1, 2, 3, 4];
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;

/** One masked frame. */
function frame(opcode, payload) {
  const bytes = Buffer.from(payload);
  const head = [0x80 | opcode];
  if (bytes.length < 126) head.push(0x80 | bytes.length);
  else if (bytes.length < 65536) head.push(0x80 | 126, bytes.length >> 8, bytes.length & 255);
  else head.push(0x80 | 127, 0, 0, 0, 0, ...[24, 16, 8, 0].map((shift) => (bytes.length >> shift) & 255));
  return Buffer.concat([Buffer.from([...head, ...MASK]), bytes.map((byte, at) => byte ^ MASK[at % 4])]);
}

/** The first whole frame of `bytes`, unmasked as a server's is. */
function parse(bytes) {
  if (bytes.length < 2) return undefined;
  let [length, at] = [bytes[1], 2];
  if (length === 126) [length, at] = [bytes.length < 4 ? Infinity : bytes.readUInt16BE(2), 4];
  else if (length === 127) [length, at] = [bytes.length < 10 ? Infinity : Number(bytes.readBigUInt64BE(2)), 10];
  if (bytes.length < at + length) return undefined;
  return { opcode: bytes[0] & 15, payload: bytes.subarray(at, at + length), rest: bytes.subarray(at + length) };
}

/** A WebSocket on a stream of HTTP/2. */
class Socket {
  #input = Buffer.alloc(0);
  constructor(stream) {
    this.stream = stream;
    this.ended = once(stream, "end");
  }

  static async open(session, path = "/echo", more = {}) {
    const { status, stream } = await ask(session, path, more);
    assert.equal(status, 200);
    return new Socket(stream);
  }

  async recv() {
    for (;;) {
      const found = parse(this.#input);
      if (found) {
        this.#input = found.rest;
        return found;
      }
      const [piece] = await once(this.stream, "data", { signal: AbortSignal.timeout(20_000) });
      this.#input = Buffer.concat([this.#input, piece]);
    }
  }

  async echo(message) {
    const opcode = typeof message === "string" ? TEXT : BINARY;
    this.stream.write(frame(opcode, message));
    const echoed = await this.recv();
    assert.equal(echoed.opcode, opcode);
    assert.ok(Buffer.from(message).equals(echoed.payload), `${Buffer.byteLength(message)} bytes came back otherwise`);
  }

  async close() {
    this.stream.write(frame(CLOSE, [0x03, 0xe8]));
    const { opcode, payload } = await this.recv();
    assert.deepEqual([opcode, [...payload]], [CLOSE, [0x03, 0xe8]]);
    await this.ended;
    this.stream.end();
  }
}

async function ask(session, path, more = {}) {
  const stream = session.request({
    ":method": "CONNECT",
    ":protocol": "websocket",
    ":path": path,
    "sec-websocket-version": "13",
    ...more,
  });
  const [headers] = await once(stream, "response", { signal: AbortSignal.timeout(20_000) });
  return { status: headers[":status"], headers, stream };
}

/** A connection that knows the server's settings. */
async function connect(t, url) {
  const session = http2.connect(url, { rejectUnauthorized: false });
  t.after(() => session.destroy());
  const [settings] = await once(session, "remoteSettings");
  assert.equal(settings.enableConnectProtocol, true);
  return session;
}

let app;
before(async () => (app = await startHttp2App()));
after(() => app.stop());

test("Node's http2: messages of many sizes come back", async (t) => {
  for (const [url, scheme] of [
    [app.clear, "http"],
    [app.encrypted, "https"],
  ]) {
    const session = await connect(t, url);
    const socket = await Socket.open(session);
    assert.equal((await socket.recv()).payload.toString(), `HTTP/2.0 ${scheme}`);
    for (const message of messages()) await socket.echo(message);
    await socket.close();
  }
});

test("Node's http2: a hundred WebSockets on one connection, and one after another has closed", async (t) => {
  const session = await connect(t, app.encrypted);
  const sockets = await Promise.all(Array.from({ length: 100 }, () => Socket.open(session)));
  await Promise.all(sockets.map((socket) => socket.recv()));
  await Promise.all(sockets.map((socket, index) => socket.echo(`I am ${index}`)));
  await sockets.pop().close();
  sockets.push(await Socket.open(session));
  await sockets.at(-1).recv();
  await Promise.all(sockets.map((socket, index) => socket.echo(`still ${index}`)));
  assert.equal(session.closed, false);
});

test("Node's http2: a byte in each DATA frame", async (t) => {
  const session = await connect(t, app.clear);
  const socket = await Socket.open(session);
  await socket.recv();
  for (const byte of frame(TEXT, "one byte after the other")) {
    await new Promise((written) => socket.stream.write(Buffer.from([byte]), written));
  }
  assert.equal((await socket.recv()).payload.toString(), "one byte after the other");
});

test("Node's http2: a stream that is reset takes no other with it", async (t) => {
  const session = await connect(t, app.clear);
  const [first, second] = [await Socket.open(session), await Socket.open(session)];
  await Promise.all([first.recv(), second.recv()]);
  first.ended.catch(() => {});
  first.stream.close(http2.constants.NGHTTP2_CANCEL);
  await second.echo("still here");
});

test("Node's http2: what is refused", async (t) => {
  const session = await connect(t, app.encrypted);
  assert.equal((await ask(session, "/echo", { ":protocol": "connect-udp" })).status, 501);
  assert.equal((await ask(session, "/echo", { origin: "https://elsewhere" })).status, 403);
  assert.equal((await ask(session, "/echo", { "sec-websocket-version": "12" })).status, 400);
  const { status } = await ask(session, "/elsewhere");
  assert.ok(status >= 400, `${status}`);
});

/** In the page: which HTTP each WebSocket went over, and whether a long message came back. */
async function sockets(count) {
  const open = async () => {
    const socket = new WebSocket(`wss://${location.host}/echo`);
    const next = () =>
      new Promise((resolve, reject) => {
        socket.onmessage = (event) => resolve(event.data);
        socket.onclose = (event) => reject(new Error(`closed with ${event.code}`));
      });
    const version = await next();
    const long = "a page's own words, ".repeat(20_000);
    const echoed = next();
    socket.send(long);
    const isSame = (await echoed) === long;
    const closed = new Promise((resolve) => (socket.onclose = resolve));
    socket.close(1000, "enough");
    const { code, wasClean } = await closed;
    return { version, isSame, code, wasClean, extensions: socket.extensions };
  };
  const [{ nextHopProtocol }] = performance.getEntriesByType("navigation");
  return { nextHopProtocol, opened: await Promise.all(Array.from({ length: count }, open)) };
}

test("Chromium: WebSockets of a page share its connection of HTTP/2", async (t) => {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--ignore-certificate-errors",
    ],
  });
  t.after(() => browser.close());
  const page = await browser.newPage({ ignoreHTTPSErrors: true });
  await page.goto(app.encrypted);
  const { nextHopProtocol, opened } = await page.evaluate(sockets, 10);
  assert.equal(nextHopProtocol, "h2");
  assert.equal(opened.length, 10);
  for (const { extensions, ...socket } of opened) {
    assert.deepEqual(socket, { version: "HTTP/2.0 https", isSame: true, code: 1000, wasClean: true });
    assert.match(extensions, /^permessage-deflate/);
  }
});

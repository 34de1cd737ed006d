// Chromium against our server: what a page's WebSocket says comes back.

import assert from "node:assert/strict";
import { test } from "node:test";
import { chromium } from "playwright-core";
import { messages } from "./payloads.js";
import { startEcho } from "./programs.js";

/** In the page: sends each message and compares what comes back. */
async function echoAll({ url, encoded }) {
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error("it did not open"));
  });
  const next = () =>
    new Promise((resolve, reject) => {
      socket.onmessage = (event) => resolve(event.data);
      socket.onclose = (event) => reject(new Error(`closed with ${event.code}`));
    });
  let count = 0;
  for (const { text, base64 } of encoded) {
    const bytes = base64 === undefined ? undefined : Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const echoed = next();
    socket.send(bytes ?? text);
    const data = await echoed;
    const same = bytes
      ? data instanceof ArrayBuffer && data.byteLength === bytes.length && new Uint8Array(data).every((byte, at) => byte === bytes[at])
      : data === text;
    if (!same) throw new Error(`message ${count} came back otherwise`);
    count += 1;
  }
  const closed = new Promise((resolve) => (socket.onclose = resolve));
  socket.close(1000, "enough");
  const { code, wasClean } = await closed;
  return { extensions: socket.extensions, count, code, wasClean };
}

test("Chromium: messages of many sizes come back, compressed", async (t) => {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  t.after(() => browser.close());
  const page = await browser.newPage();
  const encoded = messages().map((message) =>
    typeof message === "string" ? { text: message } : { base64: Buffer.from(message).toString("base64") },
  );
  const result = await page.evaluate(echoAll, { url: await startEcho(t), encoded });
  assert.match(result.extensions, /^permessage-deflate/);
  assert.deepEqual({ ...result, extensions: "" }, { extensions: "", count: encoded.length, code: 1000, wasClean: true });
});

// The main job: people chat in a browser, through a server that may die and come back.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Character, launch } from "./character.js";
import { Server } from "./server.js";

const browser = await launch();
after(() => browser.close());

/** @param {import("node:test").TestContext} t */
async function twoCharacters(t) {
  const server = await Server.start(t);
  const ada = await Character.arrive(browser, server.url);
  const bert = await Character.arrive(browser, server.url);
  await ada.enter("Ada");
  await bert.enter("Bert");
  return { server, ada, bert };
}

/**
 * Says something and waits until all have read it.
 * @param {Character} speaker
 * @param {string} message
 * @param {Character[]} readers
 */
async function saidToAll(speaker, message, ...readers) {
  await speaker.say(message);
  await Promise.all([speaker, ...readers].map((reader) => reader.reads(message)));
}

test("two characters in global read what both say, in order", async (t) => {
  const { ada, bert } = await twoCharacters(t);
  await saidToAll(ada, "Good evening.", bert);
  await saidToAll(bert, "Is it?", ada);
  // Both at once: nobody's own words change places, whoever reads them. Whose come first is not promised.
  const many = (/** @type {string} */ who) => Array.from({ length: 10 }, (_, at) => `${who} ${at}`);
  const talk = async (/** @type {Character} */ speaker, /** @type {string} */ who) => {
    for (const message of many(who)) await speaker.say(message);
  };
  await Promise.all([talk(ada, "one"), talk(bert, "two")]);
  for (const reader of [ada, bert]) {
    await reader.reads("one 9");
    await reader.reads("two 9");
    const lines = await reader.lines();
    assert.deepEqual(lines.slice(0, 2).map(({ who, text }) => [who, text]),
      [["Ada", "Good evening."], ["Bert", "Is it?"]]);
    const said = (/** @type {string} */ who) =>
      lines.slice(2).filter((line) => line.who === who).map(({ text }) => text);
    assert.deepEqual(said("Ada"), many("one"));
    assert.deepEqual(said("Bert"), many("two"));
  }
  const lines = await ada.lines();
  for (const { who, mine } of lines) assert.equal(mine, who === "Ada", "own words are marked, and no others");
  for (const { when } of lines) assert.ok(Math.abs(Date.now() - Date.parse(when ?? "")) < 60_000, `${when}`);
  assert.deepEqual([...ada.faults, ...bert.faults], []);
});

test("messages are text, whatever is in them", async (t) => {
  const { ada, bert } = await twoCharacters(t);
  for (const message of ["<img src=x onerror=alert(1)>", "<b>bold</b> &amp; \"so\"", "žluťoučký 🦋 שלום"]) {
    await saidToAll(ada, message, bert);
  }
  assert.equal(await bert.log.locator("img, b").count(), 0);
  assert.deepEqual(bert.faults, []);
});

test("rooms are apart, and tell of what one has not read", async (t) => {
  const { ada, bert } = await twoCharacters(t);
  for (const character of [ada, bert]) {
    await character.page.getByLabel("Another room").fill("Kitchen Table");
    await character.page.getByRole("button", { name: "Join", exact: true }).click();
    await character.page.getByRole("heading", { name: "kitchen-table" }).waitFor();
  }
  await saidToAll(ada, "Soup is ready.", bert);
  await bert.page.getByRole("button", { name: "global", exact: true }).click();
  assert.deepEqual(await bert.lines(), []);
  await ada.say("And bread.");
  await bert.page.getByRole("button", { name: "kitchen-table 1 unread" }).click();
  await bert.reads("And bread.");
  await bert.page.getByRole("button", { name: "Leave kitchen-table" }).click();
  await bert.page.getByRole("heading", { name: "global" }).waitFor();
  await ada.page.getByRole("button", { name: "global", exact: true }).click();
  await saidToAll(ada, "Anybody here?", bert);
});

test("a room that cannot be is refused in words", async (t) => {
  const { ada } = await twoCharacters(t);
  await ada.page.getByLabel("Another room").fill("no/such|room");
  await ada.page.getByRole("button", { name: "Join", exact: true }).click();
  await ada.page.getByRole("alert").getByText(/cannot enter no\/such\|room/).waitFor();
  await ada.page.getByRole("heading", { name: "global" }).waitFor();
});

test("a forged token is refused, and the page says so", async (t) => {
  const { server, ada } = await twoCharacters(t);
  const token = await ada.page.evaluate(() => sessionStorage.getItem("wingbeat.token"));
  const forged = `${token?.slice(0, -4)}AAAA`;
  for (const found of ["in the address", "left by an earlier visit"]) {
    const mallory = await Character.arrive(browser, server.url);
    await mallory.name.waitFor();
    if (found === "in the address") await mallory.page.goto(`${server.url}/#token=${forged}`);
    else await mallory.page.evaluate((token) => sessionStorage.setItem("wingbeat.token", token), forged);
    await mallory.page.reload();
    await mallory.page.getByRole("alert").getByText(/You were refused: .*token/).waitFor();
    assert.equal(await mallory.message.isVisible(), false);
    assert.equal(await mallory.page.evaluate(() => sessionStorage.getItem("wingbeat.token")), null);
    await mallory.screenshot("forged-wide");
    // The way in is the door, as for everybody.
    await mallory.enter("Mallory");
  }
});

test("the server itself refuses a forged token, and a guest only a room", async (t) => {
  const { server, ada } = await twoCharacters(t);
  const token = await ada.page.evaluate(() => sessionStorage.getItem("wingbeat.token"));
  /** @param {string | null} token */
  const knock = (token) =>
    ada.page.evaluate(async (token) => {
      const { Socket } = await import(String(new URL("/wingbeat.js", location.href)));
      const socket = new Socket("/socket", { params: { token }, reconnectAfterMs: () => 60_000 });
      const opened = await new Promise((resolve) => {
        socket.onOpen(() => resolve(true));
        socket.onError(() => resolve(false));
        socket.connect();
      });
      if (!opened) return "refused";
      const answer = await socket.channel("chat:global").join().answer().catch((/** @type {any} */ error) => error);
      socket.disconnect();
      return answer.response?.reason ?? "joined";
    }, token);
  assert.equal(await knock(token), "joined");
  assert.equal(await knock(null), "character required");
  for (const forged of [`${token?.slice(0, -4)}AAAA`, token?.slice(0, 20) ?? "", "", "x.y.z"]) {
    assert.equal(await knock(forged), "refused", forged);
  }
  const answer = await fetch(`${server.url}/socket/websocket?vsn=2.0.0&token=forged`);
  assert.equal(answer.status, 403);
});

test("a page that is loaded again comes back by the token it has kept", async (t) => {
  const { ada, bert } = await twoCharacters(t);
  await ada.page.goto(`${ada.page.url().split("#")[0]}#room=attic`);
  await ada.page.reload();
  await ada.connected();
  await ada.page.getByRole("heading", { name: "attic" }).waitFor();
  await ada.page.getByText("You are Ada", { exact: true }).waitFor();
  await bert.page.evaluate(() => (location.hash = "room=attic"));
  await bert.page.getByRole("heading", { name: "attic" }).waitFor();
  await saidToAll(ada, "Up here.", bert);
  assert.deepEqual((await ada.lines()).map(({ who, mine }) => [who, mine]), [["Ada", true]]);
});

test("what is said while the server is away is sent when it is back", async (t) => {
  const { server, ada, bert } = await twoCharacters(t);
  await server.stop("SIGKILL");
  await Promise.all([ada.lost(), bert.lost()]);
  await ada.say("Can you hear me?");
  await ada.page.getByText("is sent when the connection is back").waitFor();
  await server.start();
  // Bert may be back after Ada has spoken; she herself reads it in any case.
  await ada.reads("Can you hear me?");
  await ada.page.getByText("is sent when the connection is back").waitFor({ state: "detached" });
});

const NEW_SECRET = "another secret, with which no token was ever signed";

for (const [how, signal, secret] of /** @type {[string, NodeJS.Signals, string | undefined][]} */ ([
  ["a server that is killed and comes back", "SIGKILL", undefined],
  ["a server that is stopped and comes back with a new secret", "SIGTERM", NEW_SECRET],
])) {
  test(`${how} brings both back by themselves`, async (t) => {
    const { server, ada, bert } = await twoCharacters(t);
    await saidToAll(ada, "Before.", bert);
    const status = await server.stop(signal);
    assert.equal(status, signal === "SIGKILL" ? null : 0);
    await Promise.all([ada.lost(), bert.lost()]);
    await ada.screenshot(`lost-wide-${signal}`);
    await server.start(secret);
    await Promise.all([ada.connected(), bert.connected()]);
    await saidToAll(ada, "After.", bert);
    await saidToAll(bert, "Indeed.", ada);
    for (const reader of [ada, bert]) {
      assert.deepEqual((await reader.lines()).map(({ who, text }) => [who, text]),
        [["Ada", "Before."], ["Ada", "After."], ["Bert", "Indeed."]]);
    }
    assert.deepEqual((await ada.lines()).map(({ mine }) => mine), [true, true, false]);
  });
}

test("a server told to stop closes with 1012 and ends within five seconds", async (t) => {
  const { server, ada } = await twoCharacters(t);
  await ada.page.evaluate(async () => {
    const { Socket } = await import(String(new URL("/wingbeat.js", location.href)));
    const socket = new Socket("/socket", { reconnectAfterMs: () => 60_000 });
    const closed = new Promise((resolve) => socket.onClose((/** @type {any} */ { code }) => resolve(code)));
    await new Promise((resolve) => {
      socket.onOpen(resolve);
      socket.connect();
    });
    Object.assign(window, { socketClosed: closed });
  });
  const began = Date.now();
  assert.equal(await server.stop("SIGINT"), 0);
  assert.ok(Date.now() - began < 5000);
  assert.equal(await ada.page.evaluate(() => /** @type {any} */ (window).socketClosed), 1012);
});

test("names and messages have limits, and say so", async (t) => {
  const { ada } = await twoCharacters(t);
  // Past the field's own limit, as another program would.
  await ada.message.evaluate((field) => field.removeAttribute("maxlength"));
  const long = "x".repeat(1001);
  await ada.say(long);
  await ada.page.getByRole("alert").getByText(/Not sent: .*1000/).waitFor();
  assert.equal(await ada.message.inputValue(), long, "what was typed is not lost");
  await ada.page.getByRole("button", { name: "Log out" }).click();
  await ada.name.evaluate((field) => field.removeAttribute("maxlength"));
  await ada.name.fill("n".repeat(25));
  await ada.page.getByRole("button", { name: "Enter" }).click();
  await ada.page.getByRole("alert").getByText(/24/).waitFor();
  await ada.name.fill("  ");
  await ada.page.getByRole("button", { name: "Enter" }).click();
  await ada.page.getByRole("alert").getByText(/say who you are/).waitFor();
  await ada.enter("Ada again");
  await ada.say("Short.");
  await ada.reads("Short.");
});

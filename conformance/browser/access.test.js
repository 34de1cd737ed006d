// For everybody: by keyboard alone, with a screen reader, on a phone.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import axe from "axe-core";
import { Character, launch, NARROW, WIDE } from "./character.js";
import { Server } from "./server.js";

const browser = await launch();
after(() => browser.close());

/**
 * What axe finds on the page as it stands.
 * @param {Character} character
 */
async function violations({ page }) {
  await page.evaluate(axe.source);
  return page.evaluate(async () => {
    const { violations } = await /** @type {any} */ (window).axe.run(document, { resultTypes: ["violations"] });
    const where = (/** @type {any[]} */ nodes) => nodes.map(({ html }) => html);
    return violations.map((/** @type {any} */ { id, nodes }) => [id, ...where(nodes)]);
  });
}

for (const [size, viewport] of Object.entries({ wide: WIDE, narrow: NARROW })) {
  for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
    test(`nothing to find for axe and nothing to scroll sideways: ${size}, ${colorScheme}`, async (t) => {
      const server = await Server.start(t);
      const options = { viewport, colorScheme, reducedMotion: /** @type {const} */ ("reduce") };
      const ada = await Character.arrive(browser, server.url, options);
      const check = async (/** @type {string} */ state) => {
        await ada.screenshot(`${state}-${size}-${colorScheme}`);
        assert.deepEqual(await violations(ada), [], state);
        const [content, page] = await ada.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert.ok(Number(content) <= Number(page), `${state}: ${content} of ${page} pixels`);
      };
      await ada.name.waitFor();
      await check("door");

      await ada.name.fill("");
      await ada.page.getByRole("button", { name: "Enter" }).click();
      await ada.page.getByRole("alert").getByText(/who you are/).waitFor();
      await check("door-error");

      await ada.enter("Ada, Countess Lovelace");
      await check("empty");

      const bert = await Character.arrive(browser, server.url, { viewport: WIDE });
      await bert.enter("Bert");
      await bert.say("Good evening. Is the kettle on?");
      await bert.say("Somebody left the window open again, so bring a coat: it is cold, and the robin has gone.");
      await ada.say("W".repeat(200));
      await ada.say("It is on.");
      await bert.say("https://example.org/a-very-long-address/" + "that-goes-on-and-on-".repeat(6));
      await ada.reads("It is on.");
      await ada.log.getByText(/example\.org/).waitFor();
      await check("talk");

      if (size === "narrow") await ada.page.getByRole("button", { name: /^Rooms/ }).click();
      await ada.page.getByLabel("Another room").fill("no/such|room");
      await ada.page.getByRole("button", { name: "Join", exact: true }).click();
      await ada.page.getByRole("alert").getByText(/cannot enter/).waitFor();
      await check("rooms-error");

      await ada.page.getByLabel("Another room").fill("a-room-with-a-name-of-32-letters");
      await ada.page.getByRole("button", { name: "Join", exact: true }).click();
      await ada.page.getByRole("heading", { name: "a-room-with-a-name-of-32-letters" }).waitFor();
      await bert.say("Are you gone?");
      if (size === "narrow") await ada.page.getByRole("button", { name: "Rooms 1 unread" }).click();
      await ada.page.getByRole("button", { name: "global 1 unread" }).waitFor();
      await check("unread");

      await server.stop("SIGKILL");
      await ada.lost();
      await check("lost");

      await server.start();
      await ada.connected();
      await ada.page.getByRole("button", { name: "global 1 unread" }).click();
      await ada.log.getByText(/connection was lost/).waitFor();
      await check("back");
    });
  }
}

test("the whole path by keyboard alone", async (t) => {
  const server = await Server.start(t);
  const ada = await Character.arrive(browser, server.url);
  const { keyboard } = ada.page;
  const focused = () => ada.page.evaluate(() => {
    const at = document.activeElement;
    return at?.getAttribute("aria-label") ?? at?.querySelector(":scope > .name")?.textContent ?? at?.id ?? "";
  });
  /** @param {string} name presses Tab until it is there */
  const tabTo = async (name) => {
    const passed = [];
    for (let presses = 0; presses < 30; presses += 1) {
      const at = (await focused()) || (await ada.page.evaluate(() => document.activeElement?.textContent ?? ""));
      if (at === name) return;
      passed.push(at);
      await keyboard.press("Tab");
    }
    assert.fail(`no way to "${name}" by Tab: ${passed.join(", ")}`);
  };

  await ada.name.waitFor();
  await tabTo("name");
  await keyboard.type("Ada");
  await keyboard.press("Tab");
  await keyboard.press("Enter");
  await ada.connected();

  assert.equal(await focused(), "message", "one can speak at once");
  await keyboard.type("Sent by Enter");
  await keyboard.press("Enter");
  await ada.reads("Sent by Enter");
  await keyboard.type("First line");
  await keyboard.press("Shift+Enter");
  await keyboard.type("second line");
  await keyboard.press("Tab");
  await keyboard.press("Space");
  await ada.log.getByText("First line").waitFor();
  assert.equal((await ada.lines()).at(-1)?.text, "First line\nsecond line");

  await tabTo("room");
  await keyboard.type("kitchen");
  await keyboard.press("Enter");
  await ada.page.getByRole("heading", { name: "kitchen" }).waitFor();
  assert.equal(await focused(), "message");
  await keyboard.type("In the kitchen");
  await keyboard.press("Enter");
  await ada.reads("In the kitchen");

  await tabTo("global");
  await keyboard.press("Enter");
  await ada.reads("Sent by Enter");
  await tabTo("Messages");
  await tabTo("Leave kitchen");
  await keyboard.press("Enter");
  await ada.page.getByRole("button", { name: "kitchen", exact: true }).waitFor({ state: "detached" });
  assert.equal(await focused(), "message", "the button has gone, the keyboard has not");
  await tabTo("logout");
  await keyboard.press("Enter");
  await ada.name.waitFor();
  assert.equal(await focused(), "name");
});

test("on a phone the rooms open and close by keyboard", async (t) => {
  const server = await Server.start(t);
  const ada = await Character.arrive(browser, server.url, { viewport: NARROW });
  await ada.enter("Ada");
  const menu = ada.page.getByRole("button", { name: /^Rooms/ });
  await menu.focus();
  await ada.page.keyboard.press("Enter");
  assert.equal(await menu.getAttribute("aria-expanded"), "true");
  await ada.page.getByLabel("Another room").waitFor();
  const covered = ada.page.locator("#message");
  assert.ok(await covered.evaluate((field) => field.closest("[inert]") !== null), "what is covered is out of reach");
  await ada.page.keyboard.press("Escape");
  assert.equal(await menu.getAttribute("aria-expanded"), "false");
  assert.equal(await menu.evaluate((menu) => menu === document.activeElement), true);
});

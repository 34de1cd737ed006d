// A character at the chat: one page of Chromium, with a session of its own, and what a person would do with it.

import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const SCREENSHOTS = fileURLToPath(new URL("screenshots", import.meta.url));
export const WIDE = { width: 1280, height: 800 };
export const NARROW = { width: 360, height: 740 };

/** Chromium, for the tests of one file. */
export function launch() {
  mkdirSync(SCREENSHOTS, { recursive: true });
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

export class Character {
  /**
   * Opens the chat in a session of its own.
   * @param {import("playwright-core").Browser} browser
   * @param {string} url
   * @param {import("playwright-core").BrowserContextOptions} [options]
   */
  static async arrive(browser, url, options = {}) {
    const context = await browser.newContext({ viewport: WIDE, ...options });
    const character = new Character(await context.newPage());
    await character.page.goto(url);
    return character;
  }

  /** @type {string[]} what the page threw, or its policy forbade */
  faults = [];

  /** @param {import("playwright-core").Page} page */
  constructor(page) {
    this.page = page;
    page.setDefaultTimeout(20_000);
    page.on("pageerror", (error) => this.faults.push(String(error)));
    page.on("console", (message) => {
      if (/Content Security Policy|Trusted/.test(message.text())) this.faults.push(message.text());
    });
  }

  get name() {
    return this.page.getByLabel("Name", { exact: true });
  }

  get message() {
    return this.page.getByRole("textbox", { name: "Message", exact: true });
  }

  get log() {
    return this.page.getByRole("log", { name: "Messages" });
  }

  /** @param {string} name */
  async enter(name) {
    await this.name.fill(name);
    await this.page.getByRole("button", { name: "Enter" }).click();
    await this.connected();
  }

  /** Waits until the page says that it is connected. */
  async connected() {
    await this.page.getByRole("status").getByText("Connected", { exact: true }).waitFor();
  }

  /** Waits until the page says that it is not. */
  async lost() {
    await this.page.getByRole("status").getByText("Reconnecting", { exact: true }).waitFor();
  }

  /** @param {string} message */
  async say(message) {
    await this.message.fill(message);
    await this.page.getByRole("button", { name: "Send" }).click();
  }

  /** Waits until a message is shown. @param {string} message */
  async reads(message) {
    await this.log.getByText(message, { exact: true }).waitFor();
  }

  /** All that is shown, in its order. */
  async lines() {
    return this.log.locator("li.said").evaluateAll((lines) =>
      lines.map((line) => ({
        who: line.querySelector(".who")?.textContent,
        when: line.querySelector("time")?.dateTime,
        text: line.querySelector(".text")?.textContent,
        mine: line.querySelector(".you") !== null,
      })),
    );
  }

  /** @param {string} name */
  async screenshot(name) {
    await this.page.screenshot({ path: `${SCREENSHOTS}/${name}.png` });
  }
}

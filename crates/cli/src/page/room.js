// One room: its channel, what was said in it, and its place in the list of rooms.

import { Log } from "./log.js";

/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("/wingbeat.js").Socket} Socket */

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });

/**
 * The name a room goes by: small letters, hyphens for spaces.
 * @param {string} text
 */
export function roomName(text) {
  return text.trim().toLowerCase().replace(/^#/, "").replace(/\s+/g, "-");
}

/**
 * A number for the eye, and what it counts for the ear.
 * @param {HTMLElement} element
 * @param {number} unread
 */
export function showCount(element, unread) {
  element.hidden = unread === 0;
  const unit = document.createElement("span");
  unit.className = "unseen";
  unit.textContent = " unread";
  element.replaceChildren(`${unread}`, unit);
}

export class Room {
  log = new Log();
  item = document.createElement("li");
  /** Messages that came while nobody looked. */
  #unread = 0;
  #lostAt = 0;
  #channel;
  #count = document.createElement("span");
  #choose = document.createElement("button");

  /**
   * @param {string} name
   * @param {Socket} socket
   * @param {Session} session
   * @param {object} handlers
   * @param {(room: Room, mine: boolean) => void} handlers.said
   * @param {(room: Room, reason: string) => void} handlers.refused the room is not entered
   * @param {(room: Room) => void} handlers.chosen
   * @param {(room: Room) => void} handlers.left by its button
   */
  constructor(name, socket, session, handlers) {
    this.name = name;
    this.#drawItem(handlers);
    this.#channel = socket.channel(`chat:${name}`);
    this.#channel.on("broadcast", (said) => {
      const mine = session.isMine(said.from.id);
      this.log.append(said, mine);
      handlers.said(this, mine);
    });
    this.#channel.onError(() => {
      this.#lostAt ||= Date.now();
    });
    this.#channel
      .join()
      .receive("ok", () => this.#handleJoined())
      .receive("error", ({ reason }) => handlers.refused(this, reason));
  }

  get unread() {
    return this.#unread;
  }

  set unread(count) {
    this.#unread = count;
    showCount(this.#count, count);
  }

  /** @param {boolean} shown */
  show(shown) {
    this.log.element.hidden = !shown;
    this.#choose.setAttribute("aria-current", `${shown}`);
    if (!shown) return;
    this.unread = 0;
    this.log.scrollToEnd();
  }

  /**
   * Says something. Throws with words for the reader if it was not taken.
   * @param {string} message
   */
  async say(message) {
    try {
      await this.#channel.push("broadcast", { message }).answer();
    } catch (answer) {
      const { status, response } = /** @type {{status: string, response: {reason: string}}} */ (answer);
      throw new Error(`Not sent: ${status === "timeout" ? "the server did not answer" : response.reason}.`);
    }
  }

  leave() {
    this.#channel.leave();
    this.item.remove();
    this.log.element.remove();
  }

  #handleJoined() {
    if (!this.#lostAt) return;
    const [from, to] = [clock.format(this.#lostAt), clock.format(Date.now())];
    const when = from === to ? `at ${from}` : `from ${from} to ${to}`;
    this.log.note(`The connection was lost ${when}. What others said meanwhile is not shown.`);
    this.#lostAt = 0;
  }

  /** @param {{chosen: (room: Room) => void, left: (room: Room) => void}} handlers */
  #drawItem({ chosen, left }) {
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = this.name;
    this.#count.className = "count";
    this.#choose.type = "button";
    this.#choose.className = "choose";
    this.#choose.append(name, " ", this.#count);
    this.#choose.addEventListener("click", () => chosen(this));
    const leave = document.createElement("button");
    leave.type = "button";
    leave.className = "leave";
    leave.textContent = "Leave";
    leave.setAttribute("aria-label", `Leave ${this.name}`);
    leave.addEventListener("click", () => left(this));
    this.item.append(this.#choose, leave);
    this.unread = 0;
  }
}

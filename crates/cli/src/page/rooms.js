// The rooms one is in, and which of them is shown.

import { Room } from "./room.js";

/** @typedef {import("./session.js").Session} Session */
/** @typedef {import("/wingbeat.js").Socket} Socket */

/** Where one stands when nothing else is said. */
export const DEFAULT_ROOM = "global";
/** The server takes a hundred channels per socket; people lose track long before. */
const MAX_ROOMS = 20;

export class Rooms {
  /** @type {Map<string, Room>} */
  #rooms = new Map();
  /** @type {Room | null} */
  shown = null;
  #socket;
  #session;
  #handlers;

  /**
   * @param {Socket} socket
   * @param {Session} session
   * @param {object} handlers
   * @param {HTMLElement} handlers.list where the names of the rooms stand
   * @param {HTMLElement} handlers.logs where what was said stands
   * @param {(unread: number) => void} handlers.changed something came, or another room is shown
   * @param {(name: string, reason: string) => void} handlers.refused
   * @param {() => void} handlers.left by a button that is gone now
   */
  constructor(socket, session, handlers) {
    this.#socket = socket;
    this.#session = session;
    this.#handlers = handlers;
  }

  /**
   * Shows a room, entering it first if need be. Throws with words for the reader if one is in too many.
   * @param {string} name
   */
  open(name) {
    const room = this.#rooms.get(name) ?? this.#enter(name);
    this.shown = room;
    for (const other of this.#rooms.values()) other.show(other === room);
    this.#changed();
  }

  /** The page is looked at again. */
  look() {
    if (!this.shown) return;
    this.shown.unread = 0;
    this.#changed();
  }

  leaveAll() {
    for (const room of this.#rooms.values()) room.leave();
    this.#rooms.clear();
    this.shown = null;
  }

  /** @param {string} name */
  #enter(name) {
    if (this.#rooms.size >= MAX_ROOMS) throw new Error(`You are in ${MAX_ROOMS} rooms. Leave one first.`);
    const room = new Room(name, this.#socket, this.#session, {
      said: (room, mine) => this.#handleSaid(room, mine),
      refused: (room, reason) => {
        this.#leave(room);
        this.#handlers.refused(room.name, reason);
      },
      chosen: (room) => this.open(room.name),
      left: (room) => {
        this.#leave(room);
        this.#handlers.left();
      },
    });
    this.#rooms.set(name, room);
    this.#handlers.list.append(room.item);
    this.#handlers.logs.append(room.log.element);
    return room;
  }

  /** @param {Room} room */
  #leave(room) {
    room.leave();
    this.#rooms.delete(room.name);
    if (this.shown !== room) return this.#changed();
    const [next] = this.#rooms.keys();
    this.shown = null;
    if (next !== undefined) this.open(next);
    else this.#changed();
  }

  /**
   * @param {Room} room
   * @param {boolean} mine
   */
  #handleSaid(room, mine) {
    if (mine || (room === this.shown && !document.hidden)) return;
    room.unread += 1;
    this.#changed();
  }

  #changed() {
    let unread = 0;
    for (const room of this.#rooms.values()) unread += room.unread;
    this.#handlers.changed(unread);
  }
}

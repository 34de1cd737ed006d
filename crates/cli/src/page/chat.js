// The page of the chat: a door to enter by, and the rooms behind it.

import { Socket } from "/wingbeat.js";
import { roomName, showCount } from "./room.js";
import { DEFAULT_ROOM, Rooms } from "./rooms.js";
import { Refused, Session } from "./session.js";

/** From this many characters before its limit on, the message says how many are left. */
const COUNT_FROM = 100;
const CONNECTION = { connecting: "Connecting", open: "Connected", lost: "Reconnecting" };

const find = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const door = find("door");
const house = find("house");
const side = find("side");
const menu = find("menu");
const nameField = /** @type {HTMLInputElement} */ (find("name"));
const roomField = /** @type {HTMLInputElement} */ (find("room"));
const messageField = /** @type {HTMLTextAreaElement} */ (find("message"));
/** Whether the rooms are behind a button; the style sheet draws the same line. */
const narrow = matchMedia("(max-width: 47.99rem)");

const session = Session.found();
/** @type {Socket | null} */
let socket = null;
/** @type {Rooms | null} */
let rooms = null;
let loggingIn = false;
/** Messages on their way. */
let unsent = 0;

/**
 * Says beneath a field what is wrong with it, or no longer is.
 * @param {HTMLInputElement | HTMLTextAreaElement} field
 * @param {string} reason
 */
function complain(field, reason) {
  field.setAttribute("aria-invalid", `${reason !== ""}`);
  find(`${field.id}-error`).textContent = reason;
}

/** @param {unknown} error */
const wordsOf = (error) => (error instanceof Refused ? error.message : "The server cannot be reached.");

/** @param {Refused} error about a token */
const refusal = (error) => `You were refused: ${error.message}. Enter with your name to come in.`;

// The door.

/** @param {string} reason why one stands before it, if there is one */
function showDoor(reason) {
  house.hidden = true;
  door.hidden = false;
  document.title = "Wingbeat";
  nameField.value = session.character?.name ?? "";
  complain(nameField, reason);
  nameField.focus();
}

find("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = nameField.value.trim();
  if (name === "") return complain(nameField, "Please say who you are.");
  if (loggingIn) return;
  loggingIn = true;
  try {
    await session.login(name);
    enter();
  } catch (error) {
    complain(nameField, wordsOf(error));
  }
  loggingIn = false;
});

/** Goes in with the token there is. */
function enter() {
  door.hidden = true;
  house.hidden = false;
  const opened = new Socket("/socket", { params: askForParams });
  opened.onOpen(() => {
    session.handleOpen();
    showConnection("open");
  });
  opened.onError(() => session.handleError());
  opened.onClose(() => showConnection("lost"));
  socket = opened;
  const places = { list: find("rooms"), logs: find("logs") };
  rooms = new Rooms(opened, session, { ...places, changed: showRoom, refused: handleRefused, left: handleLeft });
  showConnection("connecting");
  opened.connect();
  openRoom(roomInAddress() || DEFAULT_ROOM);
}

/** What the next connection brings along: by now the token may be another one, or no good. */
async function askForParams() {
  try {
    return await session.params();
  } catch (error) {
    if (error instanceof Refused) leave(refusal(error));
    else showConnection("lost");
    throw error;
  } finally {
    find("me").textContent = session.character?.name ?? "";
  }
}

/** @param {string} reason why one has to go, if one has to */
function leave(reason) {
  rooms?.leaveAll();
  socket?.disconnect();
  session.forget();
  messageField.value = "";
  fitMessage();
  showSide(false);
  showDoor(reason);
}

find("logout").addEventListener("click", () => leave(""));

/** @param {keyof typeof CONNECTION} state */
function showConnection(state) {
  const connection = find("connection");
  if (connection.dataset.state === state) return;
  connection.dataset.state = state;
  connection.textContent = CONNECTION[state];
  showHint();
}

// The rooms.

function roomInAddress() {
  return roomName(new URLSearchParams(location.hash.slice(1)).get("room") ?? "");
}

window.addEventListener("hashchange", () => {
  const name = roomInAddress();
  if (name !== "") openRoom(name);
});

/** @param {string} name */
function openRoom(name) {
  try {
    rooms?.open(name);
    complain(roomField, "");
    messageField.focus();
  } catch (error) {
    complain(roomField, /** @type {Error} */ (error).message);
  }
}

/** @param {number} unread in all rooms */
function showRoom(unread) {
  const room = rooms?.shown?.name;
  find("room-name").textContent = room ?? "No room";
  find("composer").hidden = room === undefined;
  showCount(find("menu-unread"), unread);
  document.title = `${unread ? `(${unread}) ` : ""}${room ?? "No room"} · Wingbeat`;
  if (room === undefined || room === messageField.dataset.room) return;
  messageField.dataset.room = room;
  messageField.placeholder = `Say something in ${room}`;
  complain(messageField, "");
  history.replaceState(null, "", `#${new URLSearchParams({ room })}`);
  if (!side.classList.contains("open")) return;
  showSide(false);
  messageField.focus();
}

/** The button that was pressed has gone with its room: the keyboard goes on where one goes on. */
function handleLeft() {
  (side.classList.contains("open") || !rooms?.shown ? roomField : messageField).focus();
}

/**
 * @param {string} name
 * @param {string} reason
 */
function handleRefused(name, reason) {
  showSide(narrow.matches);
  roomField.value = name;
  complain(roomField, `You cannot enter ${name}: ${reason}.`);
  roomField.focus();
}

find("join").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = roomName(roomField.value);
  if (name === "") return complain(roomField, "Please name a room.");
  roomField.value = "";
  openRoom(name);
});

/** On a narrow page the rooms lie over what is said, which is out of reach then. @param {boolean} open */
function showSide(open) {
  side.classList.toggle("open", open);
  menu.setAttribute("aria-expanded", `${open}`);
  for (const covered of ["logs", "composer"]) find(covered).inert = open;
}

narrow.addEventListener("change", () => showSide(false));

menu.addEventListener("click", () => showSide(!side.classList.contains("open")));

house.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !side.classList.contains("open")) return;
  showSide(false);
  menu.focus();
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) rooms?.look();
});

// What one says.

find("composer").addEventListener("submit", async (event) => {
  event.preventDefault();
  const message = messageField.value.trim();
  const room = rooms?.shown;
  if (message === "" || !room) return;
  complain(messageField, "");
  messageField.value = "";
  unsent += 1;
  fitMessage();
  messageField.focus();
  try {
    await room.say(message);
  } catch (error) {
    handleUnsent(room, message, /** @type {Error} */ (error).message);
  }
  unsent -= 1;
  showHint();
});

/**
 * Neither what was not taken is lost, nor what was typed meanwhile.
 * @param {import("./room.js").Room} room
 * @param {string} message
 * @param {string} reason
 */
function handleUnsent(room, message, reason) {
  if (room !== rooms?.shown) return room.log.note(`${reason} You wrote: ${message}`);
  complain(messageField, reason);
  messageField.value = messageField.value === "" ? message : `${message}\n${messageField.value}`;
  fitMessage();
}

messageField.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  /** @type {HTMLFormElement} */ (find("composer")).requestSubmit();
});

messageField.addEventListener("input", fitMessage);

/** Grows the field with what is in it, and counts towards the limit. */
function fitMessage() {
  messageField.style.height = "auto";
  messageField.style.height = `${messageField.scrollHeight}px`;
  showHint();
}

/** Beneath the message: that it waits, or how much more it may hold. */
function showHint() {
  const left = messageField.maxLength - messageField.value.length;
  const waits = unsent > 0 && find("connection").dataset.state !== "open";
  const count = left <= COUNT_FROM ? `${left} characters left` : "";
  find("message-left").textContent = waits ? "What you said is sent when the connection is back." : count;
}

// A token that was found is shown to the server before anything is built on it.
if (!session.hasToken) {
  showDoor("");
} else {
  try {
    await session.params();
    enter();
  } catch (error) {
    session.forget();
    showDoor(error instanceof Refused ? refusal(error) : wordsOf(error));
  }
}

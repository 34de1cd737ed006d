// What was said in one room, as a list that a screen reader follows and the eye can group.

/** @typedef {{message: string, from: {id: number, name: string}, at: number}} Said `at` in milliseconds */

/** Lines one room keeps; the oldest go first. */
const MAX_LINES = 500;
/** What one says within this time stands under one name. */
const GROUP_MS = 5 * 60_000;
/** Colours a name may have, as `.hue-0` and on in the style sheet. */
const HUES = 8;
/** Pixels from the end within which a reader counts as reading along. */
const NEAR_END = 80;

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

export class Log {
  /** @type {{id: number, at: number} | null} */
  #last = null;
  /** Whether the reader reads along, and so is taken to what comes. */
  #follows = true;
  #list = document.createElement("ol");
  #empty = paragraph("empty", "Nothing has been said since you came in.");
  #newest = document.createElement("button");
  #scroller = document.createElement("div");
  element = document.createElement("div");

  constructor() {
    this.element.className = "log";
    this.#scroller.className = "lines";
    this.#scroller.tabIndex = 0;
    this.#scroller.setAttribute("role", "log");
    this.#scroller.setAttribute("aria-label", "Messages");
    this.#scroller.append(this.#empty, this.#list);
    this.#scroller.addEventListener("scroll", () => this.#handleScroll(), { passive: true });
    // A keyboard that slides in, or a field that grows, must not cover what was said last.
    new ResizeObserver(() => {
      if (this.#follows) this.scrollToEnd();
    }).observe(this.#scroller);
    this.#newest.className = "newest";
    this.#newest.type = "button";
    this.#newest.textContent = "Newest messages";
    this.#newest.hidden = true;
    this.#newest.addEventListener("click", () => {
      this.scrollToEnd();
      this.#scroller.focus();
    });
    this.element.append(this.#scroller, this.#newest);
  }

  /**
   * @param {Said} said
   * @param {boolean} mine
   */
  append({ message, from, at }, mine) {
    const last = this.#last;
    if (last && new Date(last.at).toDateString() !== new Date(at).toDateString()) this.note(day.format(at));
    const line = document.createElement("li");
    line.className = mine ? "said mine" : "said";
    const follows = this.#last?.id === from.id && at - this.#last.at < GROUP_MS;
    line.append(byline(from, at, mine, follows), paragraph("text", message));
    if (follows) line.classList.add("follows");
    this.#add(line, mine);
    this.#last = { id: from.id, at };
  }

  /** @param {string} text something about the room, said by nobody */
  note(text) {
    const line = document.createElement("li");
    line.className = "note";
    line.textContent = text;
    this.#add(line, false);
    this.#last = null;
  }

  scrollToEnd() {
    this.#follows = true;
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#newest.hidden = true;
  }

  #handleScroll() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    this.#follows = scrollHeight - scrollTop - clientHeight < NEAR_END;
    if (this.#follows) this.#newest.hidden = true;
  }

  /**
   * @param {HTMLLIElement} line
   * @param {boolean} mine one's own words are always shown
   */
  #add(line, mine) {
    this.#empty.hidden = true;
    this.#list.append(line);
    while (this.#list.childElementCount > MAX_LINES) this.#list.firstElementChild?.remove();
    if (mine || this.#follows) this.scrollToEnd();
    else this.#newest.hidden = false;
  }
}

/**
 * Who and when. What follows on the same speaker's words keeps it for those who listen, not for those who look.
 * @param {{id: number, name: string}} from
 * @param {number} at
 * @param {boolean} mine
 * @param {boolean} unseen
 */
function byline(from, at, mine, unseen) {
  const line = paragraph(unseen ? "by unseen" : "by", "");
  const who = document.createElement("span");
  who.className = mine ? "who" : `who hue-${hueOf(from.name)}`;
  who.textContent = from.name;
  const when = document.createElement("time");
  when.dateTime = new Date(at).toISOString();
  when.textContent = clock.format(at);
  line.append(who, " ");
  if (mine) {
    const you = document.createElement("span");
    you.className = "you";
    you.textContent = "you";
    line.append(you, " ");
  }
  line.append(when);
  return line;
}

/** A name keeps its colour, whoever bears it. @param {string} name */
function hueOf(name) {
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 65_521;
  return sum % HUES;
}

/**
 * @param {string} className
 * @param {string} text
 */
function paragraph(className, text) {
  const element = document.createElement("p");
  element.className = className;
  element.textContent = text;
  return element;
}

// Who this page speaks as: a name, and the token the server gave for it.
//
// The rule for tokens: one that this page was given, or that has opened a connection here, may be renewed with the
// remembered name when the server no longer takes it. One that was merely found, in the address or left by an earlier
// visit, is refused where everybody can see it.

const KEY = "wingbeat.token";

/** @typedef {{id: number, name: string}} Character */

/** The server said no, in words meant for the reader. */
export class Refused extends Error {}

export class Session {
  /** @type {string | null} */
  #token;
  /** Whether the token has worked here. */
  #proven = false;
  /** Whether to ask the server about the token before it is used: a browser does not say why an upgrade failed. */
  #suspect = true;
  /** @type {Character | null} */
  character = null;
  /** @type {Set<number>} every character this page has been: a renewed one has another id */
  #ids = new Set();

  /** @param {string | null} token found, or none */
  constructor(token) {
    this.#token = token;
  }

  /** A session with the token that the address carries as `#token=..`, or that this tab has kept. */
  static found() {
    const fragment = new URLSearchParams(location.hash.slice(1));
    const token = fragment.get("token");
    if (token === null) return new Session(sessionStorage.getItem(KEY));
    fragment.delete("token");
    const rest = fragment.size > 0 ? `#${fragment}` : "";
    history.replaceState(null, "", location.pathname + location.search + rest);
    return new Session(token);
  }

  get hasToken() {
    return this.#token !== null;
  }

  /** @param {number} id */
  isMine(id) {
    return this.#ids.has(id);
  }

  /**
   * Gets a token for a name. Throws `Refused` if the server does not take the name.
   * @param {string} name
   */
  async login(name) {
    const { token, character } = await ask("/login", { name });
    this.#token = token;
    this.#proven = true;
    this.#suspect = false;
    sessionStorage.setItem(KEY, token);
    this.#become(character);
  }

  /** Params for the next connection. Throws `Refused` if the token is no good and may not be renewed. */
  async params() {
    if (this.#suspect) await this.#check();
    return { token: this.#token };
  }

  /** A connection has opened with the token. */
  handleOpen() {
    this.#proven = true;
    this.#suspect = false;
  }

  /** A connection has failed, for whatever reason. */
  handleError() {
    this.#suspect = true;
  }

  forget() {
    this.#token = null;
    this.#proven = false;
    sessionStorage.removeItem(KEY);
  }

  async #check() {
    try {
      this.#become((await ask("/session", { token: this.#token })).character);
      this.#suspect = false;
    } catch (error) {
      if (!(error instanceof Refused && this.#proven && this.character)) throw error;
      await this.login(this.character.name);
    }
  }

  /** @param {Character} character */
  #become(character) {
    this.character = character;
    this.#ids.add(character.id);
  }
}

/**
 * @param {string} path
 * @param {object} question
 */
async function ask(path, question) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(question),
    cache: "no-store",
  });
  if (response.ok) return response.json();
  const refused = response.status >= 400 && response.status < 500 && response.status !== 429;
  if (!refused) throw new Error(`${path} answered ${response.status}`);
  const { reason } = await response.json().catch(() => ({ reason: "" }));
  throw new Refused(reason || "The server refused.");
}

// What the browser does with the page: hides it, shows it, puts it away and brings it back. Outside of one: nothing.

export class Page {
  #handlers;
  #watched = false;

  /**
   * @param {object} handlers
   * @param {() => void} handlers.visible the user looks at it again
   * @param {() => void} handlers.hide it is left; the browser may keep it whole for the way back
   * @param {() => void} handlers.show it is there, for the first time or again
   */
  constructor({ visible, hide, show }) {
    this.#handlers = { visible: () => this.hidden || visible(), hide, show };
  }

  /** Whether nobody can see it. */
  get hidden() {
    return globalThis.document?.visibilityState === "hidden";
  }

  watch() {
    if (this.#watched || !globalThis.document) return;
    this.#watched = true;
    document.addEventListener("visibilitychange", this.#handlers.visible);
    window.addEventListener("pagehide", this.#handlers.hide);
    window.addEventListener("pageshow", this.#handlers.show);
  }

  unwatch() {
    if (!this.#watched) return;
    this.#watched = false;
    document.removeEventListener("visibilitychange", this.#handlers.visible);
    window.removeEventListener("pagehide", this.#handlers.hide);
    window.removeEventListener("pageshow", this.#handlers.show);
  }
}

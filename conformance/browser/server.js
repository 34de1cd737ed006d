// The binary under test, on a port of its own.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const BINARY = process.env.WINGBEAT_BINARY ?? fileURLToPath(new URL("../../target/release/wingbeat", import.meta.url));
const SECRET = "a secret of the tests, long enough to be taken, and known to nobody else in this world";

export class Server {
  /** @type {import("node:child_process").ChildProcess | null} */
  #process = null;
  /** Everything it has printed to stderr, for the message of a failed test. */
  #stderr = "";
  url = "";

  /** A server on a free port, ended with the test. @param {import("node:test").TestContext} t */
  static async start(t) {
    const server = new Server();
    t.after(() => server.stop("SIGKILL"));
    await server.start();
    return server;
  }

  /**
   * Starts on the port it had, if it had one.
   * @param {string} [secret]
   */
  async start(secret = SECRET) {
    const listen = this.url === "" ? "127.0.0.1:0" : new URL(this.url).host;
    const child = spawn(BINARY, ["serve", "--listen", listen], {
      env: { ...process.env, WINGBEAT_SECRET: secret },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process = child;
    child.stderr.on("data", (text) => (this.#stderr += text));
    for await (const line of createInterface({ input: child.stdout })) {
      const address = /^listening on (http:\S+)$/.exec(line)?.[1];
      if (address === undefined) continue;
      this.url = address;
      child.stdout.resume();
      return;
    }
    throw new Error(`${BINARY} ended before it listened: ${this.#stderr}`);
  }

  /**
   * Ends it and waits until it is gone.
   * @param {NodeJS.Signals} signal
   * @returns {Promise<number | null>} its exit status; null if the signal killed it
   */
  async stop(signal) {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const gone = once(child, "exit");
    child.kill(signal);
    const [status] = await gone;
    return status;
  }
}

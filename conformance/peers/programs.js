// Our two programs: the server that echoes, and the client that wants its messages back.

import { execFile, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

function program(variable) {
  const path = process.env[variable];
  if (!path) throw new Error(`${variable} must name a program of ours; \`cargo xtask conformance peers\` does`);
  return path;
}

/** Starts the reference app and returns the URL of its echo. It ends with the test. */
export async function startEcho(t) {
  const child = spawn(program("WINGBEAT_REFERENCE_APP"), ["--listen", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  for await (const line of createInterface({ input: child.stdout })) {
    if (!line.startsWith("listening on ")) continue;
    child.stdout.resume();
    return `ws://${line.slice("listening on ".length)}/echo`;
  }
  throw new Error("the reference app ended before it listened");
}

/** Starts the app that speaks HTTP/2, in the clear and under TLS: its URLs, and what ends it. */
export async function startHttp2App() {
  const child = spawn(program("WINGBEAT_HTTP2_APP"), { stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of createInterface({ input: child.stdout })) {
    const { clear, encrypted } = JSON.parse(line);
    return { clear: `http://${clear}`, encrypted: `https://${encrypted}`, stop: () => child.kill("SIGKILL") };
  }
  throw new Error("the app ended before it listened");
}

/** Runs our client to its end and returns what it printed: what was agreed on, how many messages came back. */
export async function runClient(url, options) {
  const { stdout } = await promisify(execFile)(program("WINGBEAT_PEER_CLIENT"), [url, ...options]);
  const [agreed, count] = /^agreed: (.*)\n(\d+) messages came back\n$/.exec(stdout).slice(1);
  return { agreed, count: Number(count) };
}

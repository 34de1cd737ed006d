// The reference app as a child process: it chooses a port, says which, and ends when told.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

const binary = process.env.WINGBEAT_REFERENCE_APP;

/** Starts the app, on a port of the system's choice unless an address is given. */
export async function start(address = "127.0.0.1:0") {
  if (!binary) throw new Error("WINGBEAT_REFERENCE_APP must name the reference app; `cargo xtask conformance phoenix` does");
  const child = spawn(binary, ["--listen", address], { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, RUST_BACKTRACE: "0" } });
  const exited = once(child, "exit");
  const lines = createInterface({ input: child.stdout });
  for await (const line of lines) {
    if (!line.startsWith("listening on ")) continue;
    child.stdout.resume();
    return {
      address: line.slice("listening on ".length),
      async stop() {
        child.kill("SIGKILL");
        await exited;
      },
    };
  }
  throw new Error(`the reference app ended before it listened: ${(await exited).join(" ")}`);
}

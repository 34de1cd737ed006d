// The programs of the test: our server, nginx, haproxy. Each ends with the test.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const folderOfThis = import.meta.dirname;

/** A port that nobody listens on. */
async function freeAddress() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return `127.0.0.1:${port}`;
}

/** A folder that proxies under another user may look into. */
async function makeFolder() {
  const folder = await mkdtemp(join(tmpdir(), "wingbeat-proxies-"));
  await chmod(folder, 0o755);
  return folder;
}

function start(t, command, args, options) {
  const child = spawn(command, args, options);
  const ended = once(child, "exit");
  t.after(async () => {
    child.kill("SIGTERM");
    await ended;
  });
  return child;
}

async function startApp(t, folder) {
  const path = process.env.WINGBEAT_PROXIED_APP;
  if (!path) throw new Error("WINGBEAT_PROXIED_APP must name a program of ours; `cargo xtask conformance proxies` does");
  const unix = join(folder, "app.sock");
  const child = start(t, path, ["--unix", unix], { stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of createInterface({ input: child.stdout })) return { child, unix, ...JSON.parse(line) };
  throw new Error("the server ended before it listened");
}

/** Until somebody listens there. */
async function listening(address, child) {
  const [host, port] = address.split(":");
  for (;;) {
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended with ${child.exitCode}`);
    const socket = connect(Number(port), host);
    try {
      await once(socket, "connect");
      socket.destroy();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** Our server behind both proxies; the address of each lane by its name. */
export async function startAll(t) {
  const folder = await makeFolder();
  const app = await startApp(t, folder);
  const names = ["NGINX", "NGINX_UNIX", "NGINX_STREAM", "HAPROXY", "HAPROXY_TLS", "HAPROXY_HTTP"];
  const lanes = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await freeAddress()])));
  const values = { FOLDER: folder, UNIX: app.unix, FORWARDED: app.forwarded, PROXIED: app.proxied, ENCRYPTED: app.encrypted, ...lanes };
  for (const name of ["nginx.conf", "haproxy.cfg"]) {
    const text = await readFile(join(folderOfThis, name), "utf8");
    await writeFile(join(folder, name), text.replaceAll(/@([A-Z_]+)@/g, (_, key) => values[key]));
  }
  const quiet = { stdio: ["ignore", "ignore", "inherit"] };
  const nginx = start(t, "nginx", ["-p", folder, "-c", join(folder, "nginx.conf")], quiet);
  const haproxy = start(t, "haproxy", ["-db", "-q", "-f", join(folder, "haproxy.cfg")], quiet);
  // Last, for they write there until they end.
  t.after(() => rm(folder, { recursive: true, force: true }));
  for (const name of names) await listening(lanes[name], name.startsWith("NGINX") ? nginx : haproxy);
  return { app: app.child, lanes };
}

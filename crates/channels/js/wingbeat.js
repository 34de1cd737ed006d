// The browser client of Wingbeat: channels over one WebSocket, with the API of phoenix.js.
// Plain ES modules; no build step. It talks to any Phoenix server as well.
//
//   import { Socket } from "/wingbeat.js";
//   const socket = new Socket("/socket", { params: async () => ({ token: await freshToken() }) });
//   socket.connect();
//   const room = socket.channel("chat:global");
//   room.on("broadcast", ({ message }) => show(message));
//   room.join().receive("ok", () => room.push("broadcast", { message: "Hello" }));

export { Channel } from "./wingbeat/channel.js";
export { Push } from "./wingbeat/push.js";
export { Serializer } from "./wingbeat/serializer.js";
export { Socket } from "./wingbeat/socket.js";
export { Timer } from "./wingbeat/timer.js";
export { REJOIN_DELAYS, RECONNECT_DELAYS, backoff } from "./wingbeat/backoff.js";

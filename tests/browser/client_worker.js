// A worker that loads the client as workers do, and talks.

onmessage = ({ data: { script, url } }) => {
  importScripts(script);
  const socket = io(url, { transports: ["polling", "websocket"], forceNew: true });
  socket.on("connect_error", (error) => postMessage(String(error)));
  socket.emit("echo", { from: "worker", bytes: Uint8Array.of(1, 2) }, (answer) => {
    postMessage([answer.from, ...new Uint8Array(answer.bytes)]);
    socket.disconnect();
  });
};

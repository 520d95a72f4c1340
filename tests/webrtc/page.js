// What a page does over WebRTC: `steps`, for the client that is in `client`: { io, WebRTC, WebSocket, XHR }.

const WITHIN = 20000;

function next(emitter, event) {
  return new Promise((resolve, reject) => {
    emitter.once(event, (...args) => resolve(args));
    if (event === "connect") emitter.once("connect_error", (error) => reject(new Error(`${error.message}: ${error.description}`)));
    setTimeout(() => reject(new Error("no " + event)), WITHIN);
  });
}

const classes = (names) => names.map((name) => ({ webrtc: client.WebRTC, websocket: client.WebSocket, polling: client.XHR })[name]);

globalThis.begin = (names, options) => {
  globalThis.socket = client.io({ forceNew: true, reconnection: false, transports: classes(names), ...options });
  return socket;
};

globalThis.steps = {
  /** Everything that can be said, both ways; gives the transports by which it was. */
  async talk(names, options) {
    const socket = begin(names, options);
    await next(socket, "connect");
    const { engine } = socket.io;
    if (names.length > 1) await next(engine, "upgrade");
    const text = await socket.emitWithAck("echo", "h\u00e9llo \u2028 \x1e \u{1f600}");
    const sent = [Uint8Array.of(1, 2), new Uint8Array(0), Uint8Array.of(3)];
    const binary = (await socket.emitWithAck("echo", sent)).map((data) => [...new Uint8Array(data)]);
    const large = new Uint8Array(await socket.emitWithAck("echo", new Uint8Array(200_000).fill(9)));
    const numbers = [];
    socket.on("number", (number) => numbers.push(number));
    for (let number = 0; number < 2000; number++) socket.emit("down", number);
    await socket.emitWithAck("echo", 0);
    while (numbers.length < 2000) await next(socket, "number");
    const result = {
      text,
      binary,
      large: large.length === 200_000 && large.every((byte) => byte === 9),
      ordered: numbers.every((number, at) => number === at),
      transport: engine.transport.name,
    };
    socket.disconnect();
    return result;
  },

  /** Numbers both ways all the time, while it moves from the first transport to the second. */
  async move(names) {
    const socket = begin(names);
    const down = [];
    socket.on("number", (number) => down.push(number));
    await next(socket, "connect");
    const { engine } = socket.io;
    let sent = 0;
    const before = engine.transport.name;
    let upgraded = false;
    engine.once("upgrade", () => (upgraded = true));
    engine.on("upgradeError", (error) => (upgraded = error));
    const end = Date.now() + WITHIN;
    while (!upgraded && Date.now() < end) {
      for (let n = 0; n < 5; n++) socket.emit("down", sent++);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    for (let n = 0; n < 100; n++) socket.emit("down", sent++);
    const up = await socket.emitWithAck("seen");
    while (down.length < sent) await next(socket, "number");
    const inOrder = (numbers) => numbers.length === sent && numbers.every((number, at) => number === at);
    const result = { upgraded: String(upgraded), before, after: engine.transport.name, up: inOrder(up), down: inOrder(down), enough: sent > 100 };
    socket.disconnect();
    return result;
  },

  /** Why a connection cannot be made. */
  async refused(names, options) {
    const [error] = await next(begin(names, options), "connect_error");
    return [error.message, error.description?.status ?? error.description];
  },
};

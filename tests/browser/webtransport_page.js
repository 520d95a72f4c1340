// Steps of a page that connects by WebTransport: with the official client, `io`, which may be given our
// class, `ours.WebTransport`; or with our own client, `ours.io`.

const CONNECT_WITHIN = 15000;

/** The time since a moment, in milliseconds. */
const since = (begin) => Math.round(performance.now() - begin);

globalThis.steps = {
  /** Options with the certificate's hash, as pages of the official client give it. */
  options({ client, hash, transports, ...more }) {
    const value = Uint8Array.from(atob(hash), (c) => c.charCodeAt(0));
    const classes = client === "plugged";
    return {
      forceNew: true,
      reconnection: false,
      transports: classes ? [ours.WebTransport] : transports,
      // Our own asks the server for the hash.
      ...(client !== "ours" && {
        transportOptions: { webtransport: { serverCertificateHashes: [{ algorithm: "sha-256", value }] } },
      }),
      ...more,
    };
  },

  async open(given) {
    const socket = (given.client === "ours" ? ours.io : io)(given.url ?? location.origin, steps.options(given));
    await new Promise((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("connect_error", reject);
      setTimeout(() => reject(new Error("no connection")), CONNECT_WITHIN);
    });
    return socket;
  },

  /** Everything that can be said, both ways. */
  async talk(given) {
    const socket = await steps.open(given);
    const { engine } = socket.io;
    if (engine.transport.name === "polling") await new Promise((resolve) => engine.once("upgrade", resolve));
    const transport = engine.transport.name;
    const large = new Uint8Array(200_000).map((_, at) => at & 255);
    const [back, tiny, empty] = await socket.emitWithAck("echo", [large, Uint8Array.of(1, 2, 3), new Uint8Array(0)]);
    const numbers = [];
    const counted = new Promise((resolve) => {
      socket.on("back", (number) => numbers.push(number) === 5000 && resolve());
    });
    for (let number = 0; number < 5000; number++) socket.emit("there", number);
    await counted;
    const found = {
      transport,
      text: await socket.emitWithAck("echo", "héllo \u2028 \x1e 😀"),
      large: new Uint8Array(back).every((byte, at) => byte === (at & 255)) && back.byteLength === 200_000,
      tiny: [...new Uint8Array(tiny)],
      empty: empty.byteLength,
      ordered: numbers.every((number, at) => number === at),
    };
    const last = await socket.emitWithAck("echo", "bye");
    socket.disconnect();
    return { ...found, last };
  },

  /** Why a connection cannot be made, and how long that takes to know. */
  async fail(given) {
    const begin = performance.now();
    try {
      const socket = await steps.open(given);
      socket.disconnect();
      return "connected";
    } catch (error) {
      return { message: error.message, description: String(error.description), text: error.context?.responseText, ms: since(begin) };
    }
  },

  /** Over what it is connected in the end, and how long that takes. */
  async arrive(given) {
    const begin = performance.now();
    const socket = await steps.open(given);
    const { engine } = socket.io;
    if (engine.transport.name === "polling") await new Promise((resolve) => engine.once("upgrade", resolve));
    const ms = since(begin);
    const name = engine.transport.name;
    const echoed = await socket.emitWithAck("echo", 1);
    socket.disconnect();
    return { name, ms, echoed };
  },

  /** Hear the end of a session that the server ends. */
  async ended(given) {
    const socket = await steps.open(given);
    const reason = new Promise((resolve) => socket.once("disconnect", resolve));
    const last = new Promise((resolve) => socket.once("last", (text) => resolve(text.length)));
    socket.emit("end me");
    return [await last, await reason];
  },
};

// What a page does with the client: an object with the steps of the tests. `io` is the client's function.
// The server answers "echo" with what it was given, counts with "count", and knows "again" and "bye".

const CONNECT_WITHIN = 15000;

function connected(options) {
  const socket = io({ forceNew: true, ...options });
  const promise = new Promise((resolve, reject) => {
    socket.once("connect", () => resolve(socket));
    socket.once("connect_error", reject);
    setTimeout(() => reject(new Error("no connection")), CONNECT_WITHIN);
  });
  return promise;
}

const next = (emitter, event) => new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));

async function bytes(value) {
  const buffer = value instanceof Blob ? await value.arrayBuffer() : value;
  return buffer instanceof ArrayBuffer ? [...new Uint8Array(buffer)] : `no bytes: ${buffer}`;
}

globalThis.steps = {
  /** Everything that can be said, both ways. */
  async talk(options) {
    const socket = await connected(options);
    if (options.transports.length > 1 && socket.io.engine.transport.name === "polling") {
      await next(socket.io.engine, "upgrade");
    }
    const binary = [
      Uint8Array.of(1, 2).buffer,
      Uint8Array.of(0, 3, 4, 0).subarray(1, 3),
      new DataView(Uint8Array.of(5).buffer),
      new Blob(["\x06"]),
      new File(["\x07"], "name.bin"),
      new ArrayBuffer(0),
    ];
    const [first, { deep }, ...rest] = await socket.emitWithAck("echo", [binary[0], { deep: binary[1] }, ...binary.slice(2)]);
    const large = new Uint8Array(200_000).fill(9);
    const back = new Uint8Array(await socket.emitWithAck("echo", large));
    const numbers = [];
    socket.on("number", (number) => numbers.push(number));
    await socket.emitWithAck("count", 1000);
    const found = {
      transport: socket.io.engine.transport.name,
      text: await socket.emitWithAck("echo", "héllo \u2028 \x1e 😀"),
      binary: await Promise.all([first, deep, ...rest].map(bytes)),
      large: back.length === large.length && back.every((byte) => byte === 9),
      ordered: numbers.length === 1000 && numbers.every((number, at) => number === at),
      timeout: await socket.timeout(5).emitWithAck("silence").catch((error) => error.message),
    };
    socket.disconnect();
    return found;
  },

  /** A connection that comes back only if something wakes it: the delay is an hour. */
  async begin(options) {
    const socket = await connected({ reconnectionDelay: 3600e3, reconnectionDelayMax: 3600e3, ...options });
    globalThis.log = [];
    socket.on("disconnect", (reason) => log.push(reason));
    socket.on("connect", () => log.push(socket.recovered ? "recovered" : "connected"));
    globalThis.socket = socket;
  },
};

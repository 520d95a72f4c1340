// What a page does with peers, for tests/browser/test_peers.py.

const steps = {
  log: [],

  /** Connect, and accept whoever asks: `got` is the last of them. */
  async begin({ listens = true, options = {} } = {}) {
    globalThis.socket = io({ transports: ["websocket"] });
    Object.assign(nuncioPeer.peers(socket), { options });
    if (listens) {
      socket.on("peer", (peer) => {
        globalThis.got = steps.watch(peer);
        steps.answer(peer);
        peer.accept();
      });
    }
    await new Promise((resolve) => socket.on("connect", resolve));
    // Until the server knows that there are peers to be had here.
    await nuncioPeer.peers(socket).ready();
    return socket.id;
  },

  watch(peer) {
    for (const event of ["connect", "connect_error", "disconnect"]) {
      peer.on(event, (told) => steps.log.push([event, told?.code ?? told]));
    }
    return peer;
  },

  answer(peer) {
    peer.on("echo", (...args) => args.pop()(...args));
    peer.on("number", (number) => steps.numbers.push(number));
    peer.on("counted", (answer) => {
      const numbers = steps.numbers.splice(0);
      answer(numbers.length === 2000 && numbers.every((number, index) => number === index));
    });
  },

  numbers: [],

  /** Ask a peer; gives how it went. */
  async ask(id, options) {
    globalThis.to = steps.watch(socket.peer(id, options));
    steps.answer(to);
    return new Promise((resolve) => {
      to.on("connect", () => resolve("connected"));
      to.on("connect_error", (error) => resolve(error.code));
    });
  },

  /** All kinds of things, there and back. */
  async talk(peer) {
    const large = new Uint8Array(200_000).map((_, index) => index % 251);
    const same = (a, b) => a.byteLength === b.length && new Uint8Array(a).every((byte, index) => byte === b[index]);
    const text = "h\u00e9llo \u2028 \x1e \u{1f600}";
    for (let number = 0; number < 2000; number++) peer.emit("number", number);
    return {
      text: (await peer.emitWithAck("echo", text)) === text,
      binary: same(await peer.emitWithAck("echo", new Uint8Array([1, 2, 3])), [1, 2, 3]),
      empty: same(await peer.emitWithAck("echo", new ArrayBuffer(0)), []),
      large: same(await peer.emitWithAck("echo", large), large),
      several: await new Promise((resolve) => peer.emit("echo", 1, [2], (...answer) => resolve(JSON.stringify(answer)))),
      ordered: await peer.emitWithAck("counted"),
      timeout: await peer.timeout(20).emitWithAck("nobody").catch(({ message }) => message),
    };
  },

  about: ({ id, connected, relayed, verified, identity, fingerprint, localFingerprint }) => ({
    id, connected, relayed, verified, identity, fingerprint, localFingerprint,
  }),
};

globalThis.steps = steps;

// What a page of the matrix does: `run(case, client, transport)` gives what it has seen.

const WITHIN = 20000;

/** The transports as either client takes them: by name, or as classes where the official one has none. */
function choose(client, names) {
  const own = ["polling", "websocket", "webtransport"];
  if (client === "nuncio" || names.every((name) => own.includes(name))) return names;
  const classes = Object.fromEntries(Object.values(nuncioTransports).map((one) => [one.prototype.name, one]));
  return names.map((name) => classes[name]);
}

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not in time: ${typeof what === "function" ? what() : what}`)), WITHIN);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

const next = (emitter, event) => within(new Promise((resolve) => emitter.once(event, (...args) => resolve(args))), event);

function bytes(value) {
  return value instanceof ArrayBuffer ? [...new Uint8Array(value)] : `no bytes: ${value}`;
}

/** The official client has to be given the certificate's hash; ours asks the server. */
let certificate;

function transportOptions(client) {
  if (client === "nuncio" || !certificate) return {};
  const value = Uint8Array.from(atob(certificate), (char) => char.charCodeAt(0));
  return { transportOptions: { webtransport: { serverCertificateHashes: [{ algorithm: "sha-256", value }] } } };
}

class Visit {
  constructor(client, names, options) {
    this.log = [];
    this.socket = io({
      forceNew: true,
      reconnectionDelay: 10,
      ...transportOptions(client),
      ...options,
      transports: choose(client, names),
    });
    this.socket.on("disconnect", (reason) => this.log.push(reason));
    this.socket.on("connect_error", (error) => this.log.push(error.message));
  }

  get engine() {
    return this.socket.io.engine;
  }

  get transport() {
    return this.engine.transport.name;
  }

  async connected() {
    await within(new Promise((resolve) => this.socket.once("connect", resolve)), () => `connect; ${this.log}`);
    return this;
  }

  ask(...event) {
    return within(this.socket.emitWithAck(...event), () => `answer to ${event[0]}; ${this.log}`);
  }

  /** Numbers as they come, until there are so many. */
  numbers(count, event = "number") {
    const all = [];
    const done = new Promise((resolve) => {
      this.socket.on(event, (number) => all.push(number) === count && resolve());
    });
    return within(done, () => `${count} of "${event}", ${all.length} have come; ${this.log}`).then(() => {
      this.socket.off(event);
      return all.length === count && all.every((number, at) => number === at);
    });
  }
}

const FOREIGN = 'héllo \r\n \u2028\u2029 \x1e 😀 <\/script><!-- " \\';

const cases = {
  async events({ socket }) {
    const said = next(socket, "said");
    socket.emit("say", FOREIGN, { deep: [null, 1.5, true] }, -1, "");
    // Behind them comes what recovery needs.
    return (await said).slice(0, 4);
  },

  async acknowledgements(visit) {
    const { socket } = visit;
    socket.on("question", (number, answer) => answer(2 * number));
    return [
      await visit.ask("echo", FOREIGN),
      await visit.ask("ask back", 20),
      await socket.timeout(5).emitWithAck("silence").catch((error) => error.message),
    ];
  },

  async binary(visit) {
    const { socket } = visit;
    const [first, { deep }, ...rest] = await visit.ask("echo", [
      Uint8Array.of(1, 2).buffer,
      { deep: Uint8Array.of(0, 3, 4, 0).subarray(1, 3) },
      new DataView(Uint8Array.of(5).buffer),
      new Blob(["\x06"]),
      new File(["\x07"], "name.bin"),
    ]);
    const said = next(socket, "said");
    socket.emit("say", Uint8Array.of(8, 30, 13, 10), "between", Uint8Array.of(9));
    const [one, between, two] = await said;
    return [...[first, deep, ...rest].map(bytes), bytes(one), between, bytes(two)];
  },

  async "empty binary"(visit) {
    const { socket } = visit;
    const said = next(socket, "said");
    socket.emit("say", new ArrayBuffer(0), Uint8Array.of(1), new Uint8Array(0));
    const alone = await visit.ask("echo", new ArrayBuffer(0));
    return [...(await said).slice(0, 3), alone].map(bytes);
  },

  async "200 KB"(visit) {
    const large = Uint8Array.from({ length: 200_000 }, (_, at) => at % 251);
    const text = "é".repeat(100_000);
    const back = new Uint8Array(await visit.ask("echo", large));
    const same = back.length === large.length && back.every((byte, at) => byte === large[at]);
    return [same, (await visit.ask("echo", text)) === text];
  },

  async "5,000 in order"(visit) {
    const { socket } = visit;
    const ordered = visit.numbers(5000, "said");
    for (let number = 0; number < 5000; number++) socket.emit("say", number);
    return ordered;
  },

  async "cut and resume"(visit, row) {
    const { socket } = visit;
    // The first event tells the place from which what was missed is sent again.
    const first = visit.numbers(1);
    socket.emit("count", 1);
    await first;
    const { id } = socket;
    const { id: session } = visit.engine;
    const ordered = visit.numbers(row.burst);
    socket.emit("cut me", row.tcp, row.resumes);
    const inOrder = await ordered;
    if (!socket.connected) await next(socket, "connect");
    return {
      inOrder,
      answer: await visit.ask("echo", 1),
      sameSocket: socket.id === id,
      sameSession: visit.engine.id === session,
      ends: visit.log.length,
    };
  },

  async "refusal by middleware"({ socket }) {
    const refused = socket.io.socket("/refused");
    const [{ message, data }] = await next(refused, "connect_error");
    return [message, data, refused.active, refused.connected];
  },
};

/** Move to another transport while events go both ways. */
async function move(client, from, to) {
  const visit = new Visit(client, [from, to]);
  const began = visit.transport;
  const moved = next(visit.engine, "upgrade");
  await visit.connected();
  const ordered = visit.numbers(400, "said");
  let number = 0;
  while (number < 200) {
    visit.socket.emit("say", number++);
    if (number % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await moved;
  while (number < 400) visit.socket.emit("say", number++);
  const found = { began, ordered: await ordered, transport: visit.transport, log: [...visit.log] };
  visit.socket.disconnect();
  return found;
}

/** Where a transport cannot work: connect by another, or stay where it is. */
async function fallBack(client, name) {
  const other = name === "polling" ? "websocket" : "polling";
  const direct = await new Visit(client, [name, other], { tryAllTransports: true }).connected();
  const found = [direct.transport, await direct.ask("echo", 1)];
  direct.socket.disconnect();
  if (name === "polling") return found;
  const visit = new Visit(client, ["polling", name]);
  const failed = next(visit.engine, "upgradeError");
  await visit.connected();
  const error = await failed;
  found.push(error[0].transport, visit.transport, await visit.ask("echo", 2));
  visit.socket.disconnect();
  return found;
}

/** What a case has seen. */
globalThis.run = async (name, client, row) => {
  ({ certificate } = row);
  if (name === "upgrade from polling") return move(client, "polling", row.name);
  if (name === "upgrade to websocket") return move(client, row.name, "websocket");
  if (name === "fallback when blocked") return fallBack(client, row.name);
  const visit = await new Visit(client, [row.name]).connected();
  try {
    if (visit.transport !== row.name) return visit.transport;
    return await cases[name](visit, row);
  } finally {
    visit.socket.disconnect();
  }
};

/** Connect and stay; what all are told is kept. */
globalThis.begin = async (client, name) => {
  const visit = new Visit(client, [name]);
  globalThis.socket = visit.socket;
  const texts = [];
  socket.on("told", (text) => texts.push(text));
  globalThis.heard = (count) =>
    within(
      (async () => {
        while (texts.length < count) await new Promise((resolve) => setTimeout(resolve, 5));
        return texts;
      })(),
      () => `${count} texts; ${texts.length} have come; ${visit.log}`,
    );
  await visit.connected();
};

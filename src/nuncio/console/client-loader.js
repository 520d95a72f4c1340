// The browser's client: Nuncio's own, as it speaks with a server of this parser.

/**
 * Load it.
 *
 * @param parser the server's: `json`, `msgpack`, or empty for one that nobody here knows.
 * @returns `Manager`, the `transports` it has by name, and whether each message is a `whole` packet.
 */
export async function loadClient(parser) {
  if (parser !== "msgpack") {
    const { Manager, transports } = await import("./client.js");
    return { Manager, transports: { ...transports }, whole: false };
  }
  // That one is a classic script, with the transports of every client.
  const script = document.createElement("script");
  script.src = "client-msgpack.js";
  const loaded = new Promise((resolve, reject) => {
    script.onload = resolve;
    script.onerror = () => reject(new Error("client-msgpack.js cannot be loaded"));
  });
  document.head.append(script);
  await loaded;
  return { Manager: globalThis.io.Manager, transports: { polling: true, websocket: true }, whole: true };
}

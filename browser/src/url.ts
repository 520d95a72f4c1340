/**
 * Addresses: what may be written for a server, taken apart.
 *
 * Not by the class URL, which would change what applications call their namespaces: there `/café` is
 * `/caf%C3%A9`, and `localhost:3000` has the scheme "localhost".
 */

/** What is needed of a page's `location`. */
export interface Place {
  protocol: string;
  host: string;
  hostname: string;
  port: string | number;
}

/** An address with its scheme, taken apart. */
export interface Address {
  /** The whole. */
  source: string;
  secure: boolean;
  /** Without the brackets of an IPv6 address. */
  host: string;
  /** Empty when it is not said. */
  port: string;
  path: string;
  query: string;
}

/** An address as `io()` needs it. */
export interface Target {
  source: string;
  protocol: string;
  host: string;
  port: string;
  /** The namespace. */
  path: string;
  /** The same for addresses that can share a connection. */
  id: string;
}

const MAX_LENGTH = 8000;

/** Scheme, user (who is ignored), host, port, path, query; any text has these, or some. */
const ADDRESS =
  /^(?:(https?|wss?):)?(?:\/\/)?(?:[^/?#@]*@)?(\[[^\]/?#]*\]|[^:/?#]*)(?::(\d*))?([^?#]*)(?:\?([^#]*))?/i;

/** The page's own place; undefined outside of pages and workers. */
export function here(): Place | undefined {
  return typeof location === "undefined" ? undefined : location;
}

/** Take an address apart. One without a scheme is not secure. */
export function parse(source: string): Address {
  if (source.length > MAX_LENGTH) throw new Error("URI too long");
  const [, scheme = "", host = "", port = "", path = "", query = ""] = ADDRESS.exec(source)!;
  return { source, secure: /^(https|wss)$/i.test(scheme), host: bare(host), port, path, query };
}

/** A host without the brackets of an IPv6 address. */
export function bare(host: string): string {
  return host.replace(/^\[|\]$/g, "");
}

/** A host as it stands in an address. */
export function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/**
 * Complete an address by the page's own.
 *
 * @param uri the server and the namespace, or parts of them; the page's server without it.
 * @param path where the server answers; only for `id`.
 * @param place where the page is from.
 */
export function target(uri: string | undefined, path = "", place = here()): Target {
  const source = complete(uri, place);
  const address = parse(source);
  const { secure, host } = address;
  const port = address.port || (secure ? "443" : "80");
  const protocol = source.slice(0, source.indexOf(":"));
  const id = `${protocol}://${bracketed(host)}:${port}${path}`;
  return { source, protocol, host, port, path: address.path || "/", id };
}

function complete(uri: string | undefined, place: Place | undefined): string {
  if (uri == null || uri[0] === "/") {
    if (!place) throw new Error("without a page, io() needs an address");
    if (uri == null) return `${place.protocol}//${place.host}`;
    return place.protocol + (uri[1] === "/" ? uri : `//${place.host}${uri}`);
  }
  if (/^(https?|wss?):\/\//i.test(uri)) return uri;
  return `${place ? place.protocol : "https:"}//${uri}`;
}

/** Read a query string. */
export function readQuery(text: string): Record<string, string> {
  // A plus is a plus here, as encodeURIComponent has it, and no space.
  return Object.fromEntries(new URLSearchParams(text.replace(/\+/g, "%2B")));
}

/** Write a query string, without the question mark. */
export function writeQuery(query: Record<string, unknown>): string {
  return Object.entries(query)
    .map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(String(value))}`)
    .join("&");
}

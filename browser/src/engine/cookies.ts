/**
 * Cookies where no browser keeps them: those that a server sets during a session go back to it.
 *
 * A session talks to one server, so only names, values and ends matter; scopes do not.
 */

import type { Cookies } from "./platform.js";

interface Cookie {
  value: string;
  /** When it ends, as `Date.now()` counts. */
  ends: number;
}

export class NodeCookies implements Cookies {
  private readonly _kept = new Map<string, Cookie>();

  take(response: Response): void {
    for (const line of response.headers.getSetCookie()) this._take(line);
  }

  header(): string {
    const now = Date.now();
    return [...this._kept]
      .filter(([, { ends }]) => ends > now)
      .map(([name, { value }]) => `${name}=${value}`)
      .join("; ");
  }

  private _take(line: string): void {
    const [pair = "", ...attributes] = line.split(";");
    const [name, value] = split(pair);
    if (name) this._kept.set(name, { value, ends: endOf(attributes) });
  }
}

/** `Max-Age` goes before `Expires` (RFC 6265, section 5.3). */
function endOf(attributes: string[]): number {
  let ends = Infinity;
  for (const attribute of attributes) {
    const [name, value] = split(attribute);
    if (/^max-age$/i.test(name)) return Date.now() + Number(value) * 1000;
    if (/^expires$/i.test(name)) ends = Date.parse(value);
  }
  return ends;
}

function split(text: string): [string, string] {
  const at = text.indexOf("=");
  return at < 0 ? [text.trim(), ""] : [text.slice(0, at).trim(), text.slice(at + 1).trim()];
}

/** Requests as the options of either client say. */

import { contextOf } from "../engine/polling.js";
import type { Transport, TransportOptions } from "../engine/transport.js";

/**
 * Make a request.
 *
 * @param transport for which it is.
 * @param options of that.
 * @param url of it.
 * @param init what else it is; requests without a body take as long as they like.
 */
export async function request(
  transport: Transport,
  { withCredentials, requestTimeout, socket }: TransportOptions,
  url: string,
  init: RequestInit,
): Promise<Response> {
  const headers = new Headers(transport._headers());
  const { body } = init;
  if (body && typeof body !== "string") headers.set("content-type", "application/octet-stream");
  const response = await fetch(url, {
    signal: body && requestTimeout ? AbortSignal.timeout(requestTimeout) : undefined,
    ...init,
    headers,
    cache: "no-store",
    credentials: withCredentials ? "include" : "same-origin",
  });
  socket.cookies?.take(response);
  return response;
}

/**
 * Make a request whose response is read as it comes.
 *
 * @param transport for which it is.
 * @param options of that.
 * @param url of it.
 * @param read called with each piece.
 * @param refuse called when there is no such response.
 * @param end called when it is over, or breaks off.
 * @returns a function that leaves it.
 */
export function readLong(
  transport: Transport,
  options: TransportOptions,
  url: string,
  read: (bytes: Uint8Array) => void,
  refuse: (status: number, context?: unknown) => void,
  end: () => void,
): () => void {
  const controller = new AbortController();
  const run = async () => {
    const response = await request(transport, options, url, { signal: controller.signal });
    if (!response.ok) return refuse(response.status, contextOf(response, await response.text()));
    if (!response.body?.getReader) throw new Error("responses cannot be read as they come here");
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read().catch(() => ({ done: true, value: undefined }));
      if (done) return end();
      read(value!);
    }
  };
  run().catch((error) => refuse(0, error));
  return () => controller.abort();
}

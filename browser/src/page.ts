/**
 * What happens to the page: it goes offline and online, is frozen and resumed, is hidden and shown.
 *
 * The events of the document are seen on their way down, so that one object is enough to listen to.
 */

/** The page may have slept, and its time-outs with it. */
export const AWAKE = ["resume", "pageshow", "visibilitychange", "online"];

/** Call a function at events of the page; nothing happens where there is no page. */
export function onPage(events: readonly string[], listener: (event: Event) => void): () => void {
  for (const event of events) globalThis.addEventListener?.(event, listener, true);
  return () => {
    for (const event of events) globalThis.removeEventListener?.(event, listener, true);
  };
}

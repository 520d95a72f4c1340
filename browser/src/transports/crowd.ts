/**
 * Over HTTP/1.1 browsers open no more than six connections to a server, for all tabs of a site
 * together. Six that hold a response each would stop all else: pages, pictures, our own POSTs.
 *
 * So the first three of a site hold their responses as long as the server likes. The others ask for
 * short ones, between which what waits gets its turn. Where tabs cannot count each other, which
 * takes a secure page, all ask for responses as long as a poll. Over HTTP/2 and HTTP/3, and where
 * there is no browser, no such thing is needed.
 */

/** How many hold a connection for long. */
const PLACES = 3;
/** Seconds that a response lasts which holds one in turn, or without knowing of others. */
const SHORT = 2;
const POLL = 25;

export interface Place {
  /** How many seconds a response should last at most; nothing for no such wish. */
  max?: number;
  /** Let others have the place. */
  leave(): void;
}

const ANYWHERE: Place = { leave() {} };

/**
 * Take a place for long responses.
 *
 * @param url of the server.
 */
export async function place(url: string): Promise<Place> {
  if (typeof location === "undefined" || !isNarrow(url)) return ANYWHERE;
  const locks = globalThis.navigator?.locks;
  if (!locks) return { ...ANYWHERE, max: POLL };
  for (let number = 0; number < PLACES; number++) {
    const leave = await lock(locks, `nuncio ${new URL(url).host} ${number}`);
    if (leave) return { leave };
  }
  return { ...ANYWHERE, max: SHORT };
}

/** The function that gives the lock back; undefined when somebody else has it. */
function lock(locks: LockManager, name: string): Promise<(() => void) | undefined> {
  return new Promise((resolve) => {
    const held = (lock: Lock | null) => {
      if (lock) return new Promise<void>((leave) => resolve(leave));
      resolve(undefined);
      return undefined;
    };
    // Pages without an origin have no locks.
    locks.request(name, { ifAvailable: true }, held).catch(() => resolve(undefined));
  });
}

/** Whether the server is, as far as the page can know, reached by HTTP/1.1. */
function isNarrow(url: string): boolean {
  const { origin, protocol } = new URL(url);
  if (protocol === "http:") return true;
  const used = (performance.getEntries() as PerformanceResourceTiming[])
    .filter(({ name, nextHopProtocol }) => nextHopProtocol && name.startsWith(origin + "/"))
    .at(-1)?.nextHopProtocol;
  return !used || used.startsWith("http/");
}

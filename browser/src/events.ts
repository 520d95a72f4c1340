/**
 * Types of events: an interface names them, and the functions in it are their listeners.
 *
 *     interface FromServer { said: (name: string, text: string) => void }
 *     interface FromClient { say: (text: string, done: (id: number) => void) => void }
 *     const socket: Socket<FromServer, FromClient> = io();
 */

/** Any interface of events. */
export type EventsMap = { [event: string]: any };

/** What is known when nothing was said: any event, with any arguments. */
export interface AnyEvents {
  [event: string]: (...args: any[]) => void;
}

/** The names of the events. */
export type EventNames<Events extends EventsMap> = keyof Events & (string | symbol);

/** The arguments of an event. */
export type EventParams<Events extends EventsMap, E extends EventNames<Events>> = Parameters<
  Events[E]
>;

/** The function that may listen to an event, the client's own events first. */
export type Listener<Events, Reserved, E> = E extends keyof Reserved
  ? Reserved[E]
  : E extends keyof Events
    ? Events[E]
    : never;

/** The last of some arguments. */
export type Last<Args extends any[]> = Args extends [...any[], infer L] ? L : any;

/** All arguments but the last. */
export type AllButLast<Args extends any[]> = Args extends [...infer H, any] ? H : any[];

/** What an acknowledgement brings: the first argument of its function, or the one behind an error. */
export type Answer<F> = F extends (...args: infer P) => any
  ? P extends [infer First, ...infer Rest]
    ? 0 extends 1 & First
      ? any
      : First extends Error
        ? Rest[0]
        : First
    : any
  : any;

type WithError<Args extends any[]> = {
  [K in keyof Args]: Args[K] extends (...args: infer P) => infer R
    ? (error: Error, ...args: P) => R
    : Args[K];
};

/** The same events, with an error in front of what acknowledgements are given: see `timeout`. */
export type DecorateAcknowledgements<Events> = {
  [E in keyof Events]: Events[E] extends (...args: infer P) => infer R
    ? (...args: WithError<P>) => R
    : Events[E];
};

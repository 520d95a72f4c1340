/**
 * Listeners by name: what every object of the client that tells of events is built on.
 *
 * The names of its methods are those of the emitter in the official client, with all their aliases.
 */

import type { AnyEvents, EventsMap, Listener } from "./events.js";

type Handler = ((...args: any[]) => void) & {
  /** Of a listener that runs once: the function it stands for. */
  wraps?: Handler;
};

export class Emitter<Listen extends EventsMap = AnyEvents, Reserved extends EventsMap = {}> {
  private _handlers = new Map<PropertyKey, Handler[]>();

  /** Call a function at each event of this name. */
  on<E extends (keyof Listen | keyof Reserved) & (string | symbol)>(
    event: E,
    listener: Listener<Listen, Reserved, E>,
  ): this {
    const handlers = this._handlers.get(event);
    if (handlers) handlers.push(listener);
    else this._handlers.set(event, [listener]);
    return this;
  }

  /** Call a function at the next event of this name. */
  once<E extends (keyof Listen | keyof Reserved) & (string | symbol)>(
    event: E,
    listener: Listener<Listen, Reserved, E>,
  ): this {
    const single: Handler = (...args) => {
      this.off(event, single as Listener<Listen, Reserved, E>);
      (listener as Handler).apply(this, args);
    };
    single.wraps = listener;
    return this.on(event, single as Listener<Listen, Reserved, E>);
  }

  /** Forget one listener of an event; or all of them; or, without a name, those of all events. */
  off<E extends (keyof Listen | keyof Reserved) & (string | symbol)>(
    event?: E,
    listener?: Listener<Listen, Reserved, E>,
  ): this {
    const handlers = this._handlers.get(event!);
    if (event === undefined) this._handlers.clear();
    else if (!listener) this._handlers.delete(event);
    else if (handlers) {
      const index = handlers.findIndex((h) => h === listener || h.wraps === listener);
      if (index >= 0) handlers.splice(index, 1);
      if (!handlers.length) this._handlers.delete(event);
    }
    return this;
  }

  /** Call the listeners of an event, as they are now, in their order. */
  emit(event: any, ...args: any[]): this {
    for (const handler of this.listeners(event).slice()) handler.apply(this, args);
    return this;
  }

  /** The listeners of an event. */
  listeners(event: PropertyKey): Handler[] {
    return this._handlers.get(event) ?? [];
  }

  /** Whether an event has any listener. */
  hasListeners(event: PropertyKey): boolean {
    return this.listeners(event).length > 0;
  }

  /** As `on`. */
  addEventListener!: this["on"];
  /** As `off`. */
  removeListener!: this["off"];
  /** As `off`. */
  removeEventListener!: this["off"];
  /** As `off`. */
  removeAllListeners!: this["off"];
}

const methods = Emitter.prototype;
methods.addEventListener = methods.on;
methods.removeListener = methods.removeEventListener = methods.removeAllListeners = methods.off;

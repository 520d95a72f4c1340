/** Listeners that hear of every event: the four methods for what comes in, and four for what goes out. */

type AnyListener = (...args: any[]) => void;

export class CatchAll {
  private _listeners: AnyListener[] = [];

  add(listener: AnyListener): void {
    this._listeners.push(listener);
  }

  prepend(listener: AnyListener): void {
    this._listeners.unshift(listener);
  }

  /** Forget one listener, or all. */
  remove(listener?: AnyListener): void {
    const { _listeners: all } = this;
    const index = listener ? all.indexOf(listener) : 0;
    if (index >= 0) all.splice(index, listener ? 1 : all.length);
  }

  /** The list itself, which may be changed. */
  all(): AnyListener[] {
    return this._listeners;
  }

  /** Call them, as they are now. */
  tell(target: object, args: readonly unknown[]): void {
    for (const listener of this._listeners.slice()) listener.apply(target, args as any[]);
  }
}

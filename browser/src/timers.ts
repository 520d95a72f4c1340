/** Time-outs: through the functions of the page, or past those that a test has put in their place. */

export type Timer = unknown;

export interface TimerOptions {
  /** Use the functions that were there when the client was loaded. */
  useNativeTimers?: boolean;
  /** In Node: let the process end while a time-out is pending. */
  autoUnref?: boolean;
}

/** Start and stop time-outs; both functions belong together. */
export interface Timers {
  start(task: () => void, milliseconds?: number): Timer;
  stop(timer: Timer): void;
}

type Set = (task: () => void, milliseconds?: number) => Timer;
type Clear = (timer: any) => void;

// Browsers let them be called only on the global object.
const bound = (): [Set, Clear] => [
  globalThis.setTimeout.bind(globalThis),
  globalThis.clearTimeout.bind(globalThis),
];
const native = bound();

export function timersFor({ useNativeTimers, autoUnref }: TimerOptions): Timers {
  const [set, stop] = useNativeTimers ? native : bound();
  return {
    start(task, milliseconds) {
      const timer = set(task, milliseconds);
      if (autoUnref) (timer as { unref?(): void }).unref?.();
      return timer;
    },
    stop,
  };
}

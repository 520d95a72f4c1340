/**
 * WebTransport and WebSocket tried together: where UDP does not pass, that costs a quarter of a second.
 *
 * Nobody answers then, and only a time-out would tell. The first that opens is taken.
 */

import { subscribe } from "../subscribe.js";
import type { Engine } from "../engine/engine.js";
import type { Transport } from "../engine/transport.js";

/** How much earlier WebTransport sets out, in milliseconds. */
const HEAD_START = 250;

/**
 * Open a session over whichever of two transports opens first.
 *
 * @param engine the session's.
 * @param first its transport so far.
 * @param begin opens that.
 */
export function race(engine: Engine, first: Transport, begin: () => unknown): void {
  const leave: (() => void)[] = [];
  const running = new Set<Transport>();
  let joined = false;

  const end = (winner?: Transport) => {
    engine.timers.stop(timer);
    for (const stop of leave) stop();
    for (const loser of running) if (loser !== winner) loser.removeAllListeners().close();
  };
  const run = (transport: Transport, open: () => unknown) => {
    running.add(transport);
    const fail = (error: any) => {
      running.delete(transport);
      transport.removeAllListeners().close();
      if (!joined) join();
      else if (!running.size) {
        end();
        engine._onError(error ?? new Error("transport closed"));
      }
    };
    leave.push(
      subscribe(transport, {
        open: () => {
          end(transport);
          engine._use(transport);
        },
        error: fail,
        close: () => fail(undefined),
      }),
    );
    open();
  };
  const join = () => {
    if (joined) return;
    joined = true;
    const second = engine._create("websocket");
    run(second, () => second.open());
  };
  const timer = engine.timers.start(join, HEAD_START);
  leave.push(subscribe(engine, { close: () => end() }));
  // The engine is not to hear of it before it is known who wins.
  first.removeAllListeners();
  run(first, begin);
}

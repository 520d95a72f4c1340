/**
 * WebTransport and WebSocket tried together: where UDP does not pass, that costs a quarter of a second.
 *
 * Nobody answers then, and only a time-out would tell. The first that opens is taken.
 */

import { subscribe } from "../subscribe.js";
import type { Engine } from "./engine.js";
import type { Transport } from "./transport.js";

/** How much earlier WebTransport sets out, in milliseconds. */
const HEAD_START = 250;

/** Open a session over whichever of two transports opens first. */
export function race(engine: Engine, first: Transport): void {
  const leave: (() => void)[] = [];
  const running = new Set<Transport>();
  let joined = false;

  const end = (winner?: Transport) => {
    engine.timers.stop(timer);
    for (const stop of leave) stop();
    for (const loser of running) if (loser !== winner) loser.removeAllListeners().close();
  };
  const run = (transport: Transport) => {
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
    transport.open();
  };
  const join = () => {
    if (joined) return;
    joined = true;
    run(engine._create("websocket"));
  };
  const timer = engine.timers.start(join, HEAD_START);
  leave.push(subscribe(engine, { close: () => end() }));
  run(first);
}

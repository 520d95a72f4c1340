/** What one session leaves for the next in the same page. */

export const memory = {
  /** Whether the last one got through by WebSocket: see the option `rememberUpgrade`. */
  websocket: false,
};

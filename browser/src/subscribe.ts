/** Listening to several events of one object, and ending that at once. */

interface Source {
  on(event: any, listener: any): unknown;
  off(event: any, listener: any): unknown;
}

/** The function that is returned ends it. */
export function subscribe(
  source: Source,
  listeners: { [event: string]: (...args: any[]) => void },
): () => void {
  const all = Object.entries(listeners);
  for (const [event, listener] of all) source.on(event, listener);
  return () => {
    for (const [event, listener] of all) source.off(event, listener);
  };
}

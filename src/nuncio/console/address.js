// How the page is set up, as the part of its address behind #, so that a link brings it back.
//
// Never in it: the auth payload, the query, arguments and files. They may be secret, and addresses are
// kept and shown. A link only fills in; it connects and emits nothing.

const MOST = 2000;

/** Write a set-up: `path`, `transports`, `namespaces`, `at`, `event`, `seconds`, `filter`, `show`. */
export function write(setup, defaults) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(setup)) {
    const text = Array.isArray(value) ? value.join(",") : String(value ?? "");
    const usual = Array.isArray(defaults[key]) ? defaults[key].join(",") : String(defaults[key] ?? "");
    if (text !== usual) query.set(key, text);
  }
  // Slashes and commas may stand there as they are, and are read by people.
  return query.toString().replaceAll("%2F", "/").replaceAll("%2C", ",").slice(0, MOST);
}

/** Read a set-up; what is not said is left out. */
export function read(fragment) {
  const query = new URLSearchParams(fragment.replace(/^#/, "").slice(0, MOST));
  const setup = {};
  const list = (key) => query.get(key).split(",").filter(Boolean).slice(0, 50);
  for (const key of ["path", "at", "event", "filter"]) if (query.has(key)) setup[key] = query.get(key);
  for (const key of ["transports", "namespaces", "show"]) if (query.has(key)) setup[key] = list(key);
  if (query.has("seconds")) setup.seconds = Math.min(600, Math.max(0, Number(query.get("seconds")) || 0));
  return setup;
}

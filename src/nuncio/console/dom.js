// Small helpers around the DOM.

/** The element with an id. */
export function $(id) {
  return document.getElementById(id);
}

/** Make an element: properties are set, `data` goes to the dataset, children are nodes or text. */
export function el(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "data") Object.assign(element.dataset, value);
    else if (key.includes("-") || key === "role" || key === "for") element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children);
  return element;
}

/** Call a function once in the next frame, however often it is asked for. */
export function onceAFrame(task) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      task();
    });
  };
}

let toastTimer;

/** Say something for a moment, where it is seen and read out. */
export function toast(text) {
  const place = $("toast");
  place.textContent = text;
  place.dataset.shown = "";
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => {
    delete place.dataset.shown;
    place.textContent = "";
  }, 2600);
}

let liveTimer;
let liveText = "";

/** Tell who listens to the page, and not more often than can be listened to. */
export function announce(text) {
  liveText = text;
  liveTimer ??= setTimeout(() => {
    liveTimer = undefined;
    $("live").textContent = liveText;
  }, 700);
}

/** Copy a text; also where pages that came without TLS have no clipboard. */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = el("textarea", { value: text, className: "unseen" });
    const before = document.activeElement;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    before?.focus();
    if (!copied) return toast("This browser does not let pages copy.");
  }
  toast(`${what} copied`);
}

/** A field of session storage, which ends with the tab. */
export const kept = {
  get(name) {
    try {
      return sessionStorage.getItem(`nuncio-console-${name}`);
    } catch {
      return null;
    }
  },
  set(name, value) {
    try {
      sessionStorage.setItem(`nuncio-console-${name}`, value);
    } catch {
      // Forbidden or full: then it is not kept.
    }
  },
};

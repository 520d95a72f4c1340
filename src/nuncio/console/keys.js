// Shortcuts: single letters outside of fields, and the dialog that lists them.

import { $, el } from "./dom.js";

const SWITCH = "nuncio-console-keys";

/**
 * Listen to the keyboard.
 *
 * @param shortcuts lists of a key, what it does in words, and the function; without one it is only listed.
 */
export function listen(shortcuts) {
  const byKey = new Map(shortcuts.filter(([, , action]) => action).map(([key, , action]) => [key, action]));
  $("keys").replaceChildren(
    ...shortcuts.map(([key, words]) => el("div", {}, el("dt", {}, ...key.split(" ").map((one) => el("kbd", {}, one))), el("dd", {}, words))),
  );
  const on = $("keys-on");
  try {
    on.checked = localStorage.getItem(SWITCH) !== "off";
    on.addEventListener("change", () => localStorage.setItem(SWITCH, on.checked ? "on" : "off"));
  } catch {
    // Without storage it holds until the page is left.
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.key !== "Escape" && (!on.checked || inField(event.target))) return;
    if ($("help-dialog").open) return;
    const action = byKey.get(event.key === "Escape" ? "Esc" : event.key);
    if (!action) return;
    if (event.key !== "Escape") event.preventDefault();
    action(event);
  });
  $("help").addEventListener("click", showHelp);
}

/** Show the dialog. */
export function showHelp() {
  $("help-dialog").showModal();
}

function inField(target) {
  if (target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true;
  return target instanceof HTMLInputElement && !["checkbox", "radio", "button"].includes(target.type);
}

// The tabs: all namespaces together, and each by itself. A tab has the state of its namespace on it.

import { $, el } from "./dom.js";

const STATES = { off: "not joined", joining: "joining", on: "joined", refused: "refused" };

export class Tabs {
  /** The namespace whose tab is chosen; null for all. */
  at = null;

  #connection;
  #chosen;
  #drawn = "";

  /** @param chosen called when another tab was chosen. */
  constructor(connection, chosen) {
    this.#connection = connection;
    this.#chosen = chosen;
    $("tabs").addEventListener("keydown", (event) => this.#onKey(event));
    $("join").addEventListener("submit", (event) => this.#onJoin(event));
    $("leave").addEventListener("click", () => connection.leave(this.at));
    $("rejoin").addEventListener("click", () => connection.join(this.at));
    $("remove").addEventListener("click", () => {
      connection.remove(this.at);
      this.choose(null);
      $("tabs").querySelector('[aria-selected="true"]').focus();
    });
  }

  /** Choose a tab. */
  choose(name) {
    this.at = name !== null && this.#connection.namespaces.has(name) ? name : null;
    this.draw();
    this.#chosen();
  }

  /** Choose a tab by its place, from 0. */
  chooseNth(index) {
    const names = [null, ...this.#connection.namespaces.keys()];
    if (index < names.length) this.choose(names[index]);
  }

  /** Show how things stand. */
  draw() {
    const { namespaces } = this.#connection;
    if (this.at !== null && !namespaces.has(this.at)) this.at = null;
    const now = JSON.stringify([this.at, [...namespaces].map(([name, { state }]) => [name, state])]);
    if (now !== this.#drawn) {
      this.#drawn = now;
      this.#drawTabs(namespaces);
    }
    this.#drawAbout();
  }

  #drawTabs(namespaces) {
    const focused = $("tabs").contains(document.activeElement);
    const tabs = [[null, null], ...namespaces].map(([name, namespace]) => this.#tab(name, namespace));
    $("tabs").replaceChildren(...tabs);
    $("panel").setAttribute("aria-labelledby", tabs.find((tab) => tab.ariaSelected === "true").id);
    const selected = $("tabs").querySelector('[aria-selected="true"]');
    selected.scrollIntoView({ block: "nearest", inline: "nearest" });
    if (focused) selected.focus();
    const before = $("target").value;
    $("target").replaceChildren(...[...namespaces.keys()].map((value) => el("option", { value }, value)));
    $("target").value = namespaces.has(before) ? before : [...namespaces.keys()][0];
  }

  #tab(name, namespace) {
    const selected = name === this.at;
    const tab = el("button", { type: "button", role: "tab", id: `tab-${name ?? "all"}`, tabIndex: selected ? 0 : -1, ariaSelected: String(selected), "aria-controls": "panel" });
    if (namespace) {
      tab.append(el("span", { className: "dot", data: { state: namespace.state } }), name, el("span", { className: "unseen" }, `, ${STATES[namespace.state]}`));
    } else tab.append("All");
    tab.addEventListener("click", () => this.choose(name));
    return tab;
  }

  #drawAbout() {
    const namespace = this.#connection.namespaces.get(this.at);
    $("about").hidden = !namespace;
    if (!namespace) return;
    const { state, id, note, ms } = namespace;
    $("about").dataset.state = state;
    const took = ms ? ` · let in after ${ms.toFixed(ms < 10 ? 1 : 0)} ms` : "";
    $("about-text").textContent = {
      on: `Joined as ${id}${took}`,
      off: note ? `Not joined: ${note}` : "Not joined",
      joining: "Joining…",
      refused: `Refused: ${note}`,
    }[state];
    const { active } = this.#connection;
    $("leave").hidden = state !== "on" && state !== "joining";
    $("rejoin").hidden = !$("leave").hidden || !active;
    $("rejoin").textContent = state === "refused" ? "Try again" : "Join";
    $("remove").hidden = this.#connection.namespaces.size < 2;
  }

  #onJoin(event) {
    event.preventDefault();
    let name = $("namespace").value.trim();
    if (!name) return $("namespace").focus();
    if (!name.startsWith("/")) name = `/${name}`;
    $("namespace").value = "";
    this.#connection.join(name);
    this.choose(name);
  }

  #onKey(event) {
    const tabs = [...$("tabs").children];
    const now = tabs.indexOf(document.activeElement);
    const to = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined || now < 0) return;
    event.preventDefault();
    this.chooseNth((to + tabs.length) % tabs.length);
  }
}

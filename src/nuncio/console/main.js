// The page's beginning: it learns what the server is like, and ties the parts together.

import { read, write } from "./address.js";
import { loadClient } from "./client-loader.js";
import { Connection } from "./connection.js";
import { Details } from "./details.js";
import { $, announce, copy, el, kept, onceAFrame, toast } from "./dom.js";
import { EmitForm } from "./emitter.js";
import { readObject } from "./jsontext.js";
import { listen, showHelp } from "./keys.js";
import { inWords, LogView } from "./logview.js";
import { Store } from "./store.js";
import { Tabs } from "./tabs.js";
import { inTime, preview, toJSON } from "./values.js";

const ORDER = ["polling", "websocket", "webtransport", "stream", "sse", "forever", "webrtc"];
const USUAL = ["polling", "websocket"];
const GROUPS = { in: "Received", out: "Sent", ack: "Acks", link: "Connection", packet: "Packets" };
const SHOWN = ["in", "out", "ack", "link"];
const STATES = { closed: "not connected", connecting: "connecting", open: "connected", waiting: "reconnecting" };
const SMALL = matchMedia("(max-width: 820px)");
const THEMES = { system: "as the system", light: "light", dark: "dark" };

const config = await load();
const client = await loadClient(config.parser);
const KNOWN = Object.keys(client.transports);
const folder = new URL("..", location.href).pathname;
const usualTransports = USUAL.filter((name) => config.transports.includes(name));
const DEFAULTS = {
  path: folder,
  transports: usualTransports.length ? usualTransports : config.transports.slice(0, 1),
  namespaces: ["/"],
  at: "",
  event: "",
  seconds: 5,
  filter: "",
  show: SHOWN,
};

const store = new Store(() => {
  view.update();
  counts();
});
const connection = new Connection(client, log, onceAFrame(draw));
const details = new Details(sendAgain, () => $("log").focus());
const view = new LogView(store, $("log"), $("newer"), (entry) => details.show(entry));
const form = new EmitForm(send, config.events);
const tabs = new Tabs(connection, () => {
  if (tabs.at !== null) $("target").value = tabs.at;
  form.suggest();
  choose();
});
const counts = onceAFrame(drawCounts);
/** Let the address say how the page is set up. */
const keepAddress = onceAFrame(() => {
  const text = write(setup(), DEFAULTS);
  history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
});
let loaded = false;
let unread = 0;
let quiet = 0;
let shownState = "closed";
let before = 0;

/** What the server says of itself; whoever is no longer signed in goes to where that is done. */
async function load() {
  const response = await fetch("config.json");
  if (response.status === 403) location.replace(`login${location.hash}`);
  if (!response.ok) throw new Error(`config.json: HTTP ${response.status}`);
  return response.json();
}

function begin() {
  $("address").textContent = location.host;
  $("logout").hidden = !config.signedIn;
  $("version").textContent = `Nuncio ${config.version}`;
  $("namespaces").replaceChildren(...config.namespaces.map((value) => el("option", { value })));
  if (!config.parser) notice("This server writes packets in a way of its own (its option parser), which this page does not understand.");
  drawTransports();
  drawKinds();
  setUp({ ...DEFAULTS, ...read(location.hash) });
  $("auth").value = kept.get("auth") ?? "";
  $("query").value = kept.get("query") ?? "";
  checkAuth();
  wire();
  shortcuts();
  drawTheme();
  draw();
  loaded = true;
  choose();
  setInterval(drawRate, 1000);
}

// --- setting up

function setUp(setup) {
  $("path").value = setup.path;
  for (const box of $("transports").querySelectorAll("input")) box.checked = setup.transports.includes(box.value);
  for (const name of setup.namespaces.length ? setup.namespaces : ["/"]) connection.join(name.startsWith("/") ? name : `/${name}`);
  for (const button of $("kinds").children) button.ariaPressed = String(setup.show.includes(button.value));
  $("filter").value = setup.filter;
  tabs.draw();
  tabs.choose(setup.at || null);
  form.fill({ nsp: tabs.at, event: setup.event, seconds: setup.seconds });
}

/** How it is set up now. */
function setup() {
  return {
    path: $("path").value,
    transports: transports(),
    namespaces: [...connection.namespaces.keys()],
    at: tabs.at ?? "",
    event: $("event").value,
    seconds: form.seconds,
    filter: $("filter").value,
    show: groups(),
  };
}

function transports() {
  return [...$("transports").querySelectorAll("input:checked")].map((box) => box.value);
}

function groups() {
  return [...$("kinds").children].filter((button) => button.ariaPressed === "true").map((button) => button.value);
}

function drawTransports() {
  const served = ORDER.filter((name) => config.transports.includes(name));
  const boxes = served.map((name) => {
    const usable = KNOWN.includes(name);
    const box = el("input", { type: "checkbox", value: name, disabled: !usable });
    return el("label", { className: "check", title: usable ? "" : "This page's client does not have it" }, box, name);
  });
  $("transports").replaceChildren(...boxes);
}

function drawKinds() {
  const buttons = Object.entries(GROUPS).map(([value, text]) => el("button", { type: "button", value, ariaPressed: "false", data: { group: value } }, text));
  $("kinds").replaceChildren(...buttons);
}

/** The auth payload, or undefined; what is wrong with it is shown. */
function checkAuth() {
  let problem = "";
  let value;
  try {
    value = readObject($("auth").value);
  } catch (error) {
    problem = error.message;
  }
  $("auth-problem").textContent = problem;
  $("auth").setAttribute("aria-invalid", problem !== "");
  return { problem, value };
}

// --- what is done

function wire() {
  $("connect").addEventListener("submit", (event) => {
    event.preventDefault();
    if (connection.active) connection.disconnect();
    else connect();
  });
  $("auth").addEventListener("input", () => {
    checkAuth();
    kept.set("auth", $("auth").value);
  });
  $("query").addEventListener("input", () => kept.set("query", $("query").value));
  for (const id of ["path", "transports", "event", "ack", "ack-seconds"]) $(id).addEventListener("input", keepAddress);
  $("filter").addEventListener("input", choose);
  $("kinds").addEventListener("click", ({ target }) => {
    if (!target.value) return;
    target.ariaPressed = String(target.ariaPressed !== "true");
    choose();
  });
  $("pause").addEventListener("click", pause);
  $("clear").addEventListener("click", clear);
  $("copy").addEventListener("click", () => copy(toJSON(store.export(), { base64: true }), `${store.shown.length} entries`));
  for (const id of ["share", "help-share"]) $(id).addEventListener("click", share);
  for (const id of ["theme", "help-theme"]) $(id).addEventListener("click", nextTheme);
  $("fold").addEventListener("click", () => fold($("fold").ariaExpanded === "true"));
  $("target").addEventListener("change", () => {
    if (tabs.at !== null) tabs.choose($("target").value);
    form.suggest();
  });
  for (const button of document.querySelectorAll(".switch button")) button.addEventListener("click", () => showPart(button.dataset.to));
  addEventListener("beforeunload", () => connection.disconnect());
}

function share() {
  keepAddress();
  requestAnimationFrame(() => copy(location.href, "Link"));
}

/** Hide the settings of the connection, or show them. */
function fold(folded) {
  $("fold").ariaExpanded = String(!folded);
  $("settings").hidden = folded;
}

function connect() {
  const { problem } = checkAuth();
  if (problem) {
    fold(false);
    return show("connect", "auth");
  }
  const chosen = transports();
  if (!chosen.length) return notice("Choose at least one transport.");
  notice("");
  if (!connection.namespaces.size) connection.join("/");
  connection.connect({
    transports: chosen,
    auth: () => checkAuth().value,
    options: {
      path: $("path").value || folder,
      addTrailingSlash: config.addTrailingSlash,
      query: Object.fromEntries(new URLSearchParams($("query").value)),
      reconnection: $("reconnect").checked,
      // What cannot connect by its first transport says so, and does not try the others in silence.
      tryAllTransports: false,
      // The page came from that server, so it may as well say which certificate is its own.
      transportOptions: { webtransport: { fetchCertificateHashes: true } },
    },
  });
}

/** Emit; tells whether that could be done. */
function send(nsp, event, args, seconds) {
  if (!connection.active) {
    toast("Not connected. Connect first.");
    return false;
  }
  if (!connection.namespaces.has(nsp)) connection.join(nsp);
  if (["off", "refused"].includes(connection.namespaces.get(nsp).state)) {
    toast(`Not joined to ${nsp}. Join it first.`);
    return false;
  }
  try {
    connection.emit(nsp, event, args, seconds);
  } catch (error) {
    toast(error.message);
    return false;
  }
  return true;
}

function sendAgain({ nsp, name, args, seconds }) {
  if (send(nsp, name, args, seconds)) toast(`${name} sent again`);
}

function pause() {
  store.pause(!store.paused);
  $("pause").ariaPressed = String(store.paused);
  $("pause").textContent = store.paused ? "Resume" : "Pause";
  announce(store.paused ? "The log is paused" : "The log goes on");
}

function clear() {
  store.clear();
  view.chosen = null;
  if (details.open) details.close();
  view.reset();
}

/** Show what the tab, the filter and the switches choose. */
function choose() {
  if (!loaded) return;
  const chosen = groups();
  connection.packets = chosen.includes("packet");
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  store.choose({ words, nsp: tabs.at, groups: new Set(chosen) });
  $("log").dataset.all = tabs.at === null && connection.namespaces.size > 1;
  view.reset();
  keepAddress();
}

function log(entry) {
  store.push(entry);
  if (entry.kind !== "packet") announceEntry(entry);
  if (document.body.dataset.view === "log") return;
  if (entry.kind === "in") unread++;
  // Where the log is not beside, answers and problems are told for a moment.
  if (!SMALL.matches) return;
  if (entry.kind === "ack") toast(`✓ ${entry.name} ${preview(entry.args, 80)}`);
  else if (entry.kind === "error") toast([entry.name, entry.note].join(": "));
}

/** Say what has come; when much comes, only how much. */
function announceEntry(entry) {
  quiet++;
  const first = quiet === 1;
  announce(first ? inWords(entry) : `${quiet} new entries in the log, the last: ${inWords(entry)}`);
  if (first) setTimeout(() => (quiet = 0), 1000);
}

// --- what is shown

function draw() {
  const { state, transport, trying, trips, active } = connection;
  $("state").textContent = STATES[state];
  $("state").dataset.state = state;
  $("transport").hidden = !transport;
  $("transport").textContent = trying ? `${transport} → ${trying}…` : transport;
  $("transport").title = "The transport in use";
  $("latency").hidden = !trips.length || !active;
  if (trips.length) {
    const middle = [...trips].sort((a, b) => a - b)[Math.floor(trips.length / 2)];
    $("latency").replaceChildren(el("span", { className: "word" }, "ack "), inTime(trips.at(-1)));
    $("latency").title = `Round trip of the last acknowledgement; median of ${trips.length}: ${inTime(middle)}`;
  }
  $("connect-button").textContent = active ? (state === "open" ? "Disconnect" : "Stop") : "Connect";
  $("connect-button").classList.toggle("primary", !active);
  // Once connected, the room is for what one came for.
  if (state !== shownState && (state === "open" || state === "closed")) fold(state === "open");
  shownState = state;
  for (const field of [$("path"), $("query"), $("reconnect"), ...$("transports").querySelectorAll("input")]) {
    field.disabled = active || (field.type === "checkbox" && field.value !== "on" && !KNOWN.includes(field.value));
  }
  document.title = `${active ? `${STATES[state]} · ` : ""}Nuncio console`;
  tabs.draw();
  form.suggest();
  $("log").dataset.all = tabs.at === null && connection.namespaces.size > 1;
  if (loaded) keepAddress();
}

function drawCounts() {
  const { shown, all, held, dropped } = store;
  const number = new Intl.NumberFormat().format;
  const parts = [shown.length === all.length ? `${number(all.length)} entries` : `${number(shown.length)} of ${number(all.length)} entries`];
  if (store.paused) parts.push(`paused, ${number(held.length)} waiting`);
  if (dropped) parts.push(`${number(dropped)} older ones dropped`);
  $("counts").textContent = parts.join(" · ");
  $("empty").hidden = shown.length > 0;
  $("empty-text").textContent = all.length ? "No entry passes the filter, the switches and the tab." : connection.active ? "What comes and goes is shown here." : "Connect, and everything that comes and goes is shown here.";
  $("empty").querySelector("strong").textContent = all.length ? "Nothing to show." : "Nothing yet.";
  if (document.body.dataset.view === "log") unread = 0;
  $("unread").textContent = unread > 99 ? "99+" : unread || "";
}

function drawRate() {
  const rate = store.events - before;
  before = store.events;
  $("rate").textContent = rate ? `${rate} event${rate > 1 ? "s" : ""}/s` : "";
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

// --- themes, parts, keys

function drawTheme() {
  const theme = document.documentElement.dataset.theme ?? "system";
  $("theme").ariaLabel = $("theme").title = $("help-theme").textContent = `Theme: ${THEMES[theme]}`;
}

function nextTheme() {
  const names = Object.keys(THEMES);
  const root = document.documentElement;
  const theme = names[(names.indexOf(root.dataset.theme ?? "system") + 1) % names.length];
  if (theme === "system") delete root.dataset.theme;
  else root.dataset.theme = theme;
  try {
    localStorage.setItem("nuncio-console-theme", theme);
  } catch {
    // Then it holds until the page is left.
  }
  drawTheme();
  // In the dialog the button itself tells it.
  if (!$("help-dialog").open) toast(`Theme: ${THEMES[theme]}`);
}

/** On small screens one part is shown at a time. */
function showPart(part) {
  document.body.dataset.view = part;
  for (const button of document.querySelectorAll(".switch button")) button.ariaPressed = String(button.dataset.to === part);
  if (part === "log") view.update();
  counts();
}

function show(part, id) {
  showPart(part);
  $(id).focus();
}

function shortcuts() {
  listen([
    ["c", "connect or disconnect", () => (connection.active ? connection.disconnect() : connect())],
    ["e", "go to the event's name", () => show("emit", "event")],
    ["a", "go to the arguments", () => show("emit", "args")],
    ["Ctrl Enter", "emit, from anywhere in the form"],
    ["n", "join a namespace", () => show("log", "namespace")],
    ["/", "filter the log", () => show("log", "filter")],
    ["l", "go to the log: ↑ ↓ choose, Enter opens", () => show("log", "log")],
    ["p", "pause the log, or go on", pause],
    ["x", "clear the log", clear],
    ["g", "go to the newest entry", () => view.follow()],
    ["t", "change the theme", nextTheme],
    ["Esc", "close the details", () => details.open && details.close()],
    ["?", "this help", showHelp],
    ...[...Array(9).keys()].map((index) => [String(index + 1), `tab ${index + 1}`, () => tabs.chooseNth(index)]),
  ]);
  // Nine lines of the same would hide the others.
  const lines = [...$("keys").children];
  for (const line of lines.slice(-8)) line.remove();
  lines.at(-9).replaceChildren(el("dt", {}, el("kbd", {}, "1"), "…", el("kbd", {}, "9")), el("dd", {}, "choose a tab"));
}

begin();

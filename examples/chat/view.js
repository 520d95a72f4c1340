// Everything the reader sees. All text goes in through textContent, so no message can bring markup.

import { imageType } from "./images.js";

const $ = (id) => document.getElementById(id);
const SAME_AUTHOR_WITHIN = 5 * 60_000;
const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

let actions = {};
let shown = null; // the state last drawn
let lastDrawn = null; // the record at the end of the conversation
const elements = new WeakMap(); // record -> its <li>
const addresses = new WeakMap(); // record -> the object URL of its picture

/** Connect the page's controls to what they do. */
export function start(given) {
  actions = given;
  $("nickname").value = storedName();
  on("sign-in", "submit", () => {
    const name = $("nickname").value.trim();
    signInProblem(name ? "" : "Choose a nickname first.");
    if (name) actions.signIn(name);
    else $("nickname").focus();
  });
  on("composer", "submit", submit);
  on("new-room", "submit", () => {
    const name = $("new-room-name").value.trim();
    $("new-room-name").value = "";
    if (name) enter(name);
  });
  on("sign-out", "click", () => actions.signOut());
  on("leave-room", "click", () => actions.leaveRoom());
  on("attach", "click", () => $("file").click());
  on("file", "change", () => {
    for (const file of $("file").files) actions.show(file);
    $("file").value = "";
    $("text").focus();
  });
  on("to-end", "click", toEnd);
  $("scroller").addEventListener("scroll", () => atEnd() && ($("to-end").hidden = true), { passive: true });
  startTextField();
  startDropping();
  startPanels();
  document.addEventListener("visibilitychange", seen);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") closePanels();
    if (!event.altKey || $("chat").hidden) return;
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (by) {
      event.preventDefault();
      actions.step(by);
    }
  });
  // The viewer is one picture: a click anywhere puts it away.
  on("viewer", "click", () => $("viewer").close());
}

function on(id, event, run) {
  $(id).addEventListener(event, (happened) => {
    if (event === "submit") happened.preventDefault();
    run(happened);
  });
}

function startTextField() {
  const text = $("text");
  text.addEventListener("input", () => {
    fit();
    actions.typed(text.value !== "");
  });
  text.addEventListener("blur", () => actions.typed(false));
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  text.addEventListener("paste", (event) => {
    const pictures = [...event.clipboardData.files];
    if (!pictures.length) return;
    event.preventDefault();
    for (const file of pictures) actions.show(file);
  });
}

function submit() {
  const text = $("text").value.trim();
  if (!text || !shown?.current || text.length > shown.limits.text) return;
  $("text").value = "";
  fit();
  actions.say(text);
  $("text").focus();
}

/** Make the field as tall as its text, and say when the text is too long. */
function fit() {
  const field = $("text");
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight, 160)}px`;
  const room = (shown?.limits.text ?? 2000) - field.value.trim().length;
  $("left").textContent = room < 100 ? String(room) : "";
  $("left").classList.toggle("over", room < 0);
  $("send").disabled = !field.value.trim() || room < 0;
}

function startDropping() {
  const page = $("chat");
  let depth = 0;
  const carries = (event) => event.dataTransfer?.types.includes("Files");
  const hint = (by) => page.classList.toggle("dropping", (depth = Math.max(0, depth + by)) > 0);
  page.addEventListener("dragenter", (event) => carries(event) && hint(1));
  page.addEventListener("dragleave", (event) => carries(event) && hint(-1));
  page.addEventListener("dragover", (event) => carries(event) && event.preventDefault());
  page.addEventListener("drop", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    hint(-depth);
    for (const file of event.dataTransfer.files) actions.show(file);
  });
}

// --- panels on small screens --------------------------------------------------------------------

function startPanels() {
  on("show-rooms", "click", () => openPanel("rooms"));
  on("show-people", "click", () => openPanel("people"));
  for (const element of document.querySelectorAll("[data-close-panels]")) {
    element.addEventListener("click", closePanels);
  }
}

function openPanel(which) {
  $("chat").dataset.panel = which;
  $(`show-${which}`).setAttribute("aria-expanded", "true");
  $(`${which}-panel`).querySelector("[data-close-panels]").focus();
}

function closePanels() {
  const which = $("chat").dataset.panel;
  if (!which) return;
  delete $("chat").dataset.panel;
  $(`show-${which}`).setAttribute("aria-expanded", "false");
  $(`show-${which}`).focus();
}

function enter(name) {
  closePanels();
  actions.openRoom(name);
  $("text").focus();
}

// --- the two pages ------------------------------------------------------------------------------

export function setupMissing(line) {
  $("setup").textContent = line;
  $("setup").hidden = false;
  $("sign-in-fields").hidden = true;
}

export function busy(on) {
  $("enter").disabled = on;
  $("enter").textContent = on ? "Joining …" : "Join";
}

export function signInProblem(text) {
  $("sign-in-problem").textContent = text;
}

export function showWelcome(problem) {
  busy(false);
  signInProblem(problem);
  closePanels();
  $("messages").replaceChildren();
  delete $("messages").dataset.room;
  $("text").value = "";
  $("chat").hidden = true;
  $("welcome").hidden = false;
  document.title = "Nuncio chat";
  shown = null;
  $("nickname").select();
}

export function showChat(state) {
  shown = state;
  busy(false);
  $("my-name").textContent = state.name;
  avatar($("my-avatar"), state.name);
  if (!$("chat").hidden) return;
  $("welcome").hidden = true;
  $("chat").hidden = false;
  // A field that takes the focus on a phone opens the keyboard over the conversation.
  if (matchMedia("(hover: hover)").matches) $("text").focus();
}

/** Which transport carries the chat; an empty name when none does. */
export function showLink(transport) {
  const names = { websocket: "live over WebSocket", polling: "live over long-polling" };
  $("link").textContent = transport ? names[transport] ?? `live over ${transport}` : "offline";
  $("link").dataset.link = transport ? "on" : "off";
}

let bannerTimer = 0;

export function banner(kind) {
  clearTimeout(bannerTimer);
  const texts = {
    lost: "Connection lost, reconnecting … What you write now is sent then.",
    back: "Connected again.",
  };
  $("banner").hidden = !texts[kind];
  $("banner").dataset.kind = kind;
  $("banner-text").textContent = texts[kind] ?? "";
  if (kind === "back") bannerTimer = setTimeout(() => banner("none"), 2500);
}

let noticeTimer = 0;

export function notice(text) {
  clearTimeout(noticeTimer);
  $("notice").textContent = text;
  $("notice").hidden = false;
  noticeTimer = setTimeout(() => ($("notice").hidden = true), 5000);
}

// --- rooms and people ---------------------------------------------------------------------------

/** Rooms as they are listed: those this page is in first, then the others, each by name. */
export function inOrder(state) {
  return [...state.rooms.values()].sort(
    (one, other) => other.wanted - one.wanted || one.name.localeCompare(other.name),
  );
}

export function drawRooms(state) {
  const focused = document.activeElement?.closest?.(".room")?.dataset.room;
  const items = inOrder(state).map((room) => {
    const item = clone("room-template");
    const button = item.querySelector("button");
    button.dataset.room = room.name;
    button.classList.toggle("outside", !room.wanted);
    if (room.name === state.current) button.setAttribute("aria-current", "true");
    item.querySelector(".name").textContent = room.name;
    item.title = room.name;
    item.querySelector(".count").textContent = room.count || "";
    const unread = item.querySelector(".unread");
    unread.textContent = room.unread > 99 ? "99+" : room.unread;
    unread.hidden = !room.unread;
    item.querySelector(".visually-hidden").textContent =
      `, ${plural(room.count, "person", "people")}` + (room.unread ? `, ${room.unread} unread` : "");
    button.addEventListener("click", () => enter(room.name));
    return item;
  });
  $("rooms").replaceChildren(...items);
  if (focused) [...$("rooms").querySelectorAll(".room")].find((b) => b.dataset.room === focused)?.focus();
  drawUnread(state);
}

function drawUnread(state) {
  const rooms = [...state.rooms.values()];
  const total = rooms.reduce((sum, room) => sum + room.unread, 0);
  $("elsewhere").hidden = !rooms.some((room) => room.unread && room.name !== state.current);
  document.title = (total ? `(${total}) ` : "") + (state.current ? `${state.current} · Nuncio chat` : "Nuncio chat");
}

/** The reader came back to the page: what it shows counts as read. */
function seen() {
  const room = shown?.rooms.get(shown.current);
  if (document.hidden || !room) return;
  room.unread = 0;
  drawRooms(shown);
}

export function drawPeople(state) {
  const people = state.rooms.get(state.current)?.people ?? [];
  $("room-name").textContent = state.current;
  const others = people.filter((name) => name !== state.name);
  $("room-people").textContent =
    people.length === 0 ? "Joining …"
    : others.length === 0 ? "Only you are here"
    : others.length <= 3 ? sentence(["You", ...others])
    : plural(people.length, "person", "people");
  $("people-title").textContent = `In this room (${people.length})`;
  $("people").replaceChildren(
    ...people.map((name) => {
      const item = clone("person-template");
      item.querySelector(".name").textContent = name;
      item.title = name;
      item.querySelector(".you").hidden = name !== state.name;
      avatar(item.querySelector(".avatar"), name);
      return item;
    }),
  );
}

export function drawTyping(state) {
  const who = [...(state.rooms.get(state.current)?.typing.keys() ?? [])];
  $("typing").classList.toggle("active", who.length > 0);
  if (!who.length) $("typing-text").textContent = "";
  else if (who.length > 2) $("typing-text").textContent = "Several people are typing";
  else $("typing-text").textContent = `${sentence(who)} ${who.length > 1 ? "are" : "is"} typing`;
}

// --- conversation -------------------------------------------------------------------------------

export function keepDraft(state) {
  const room = state.rooms.get(state.current);
  if (room) room.draft = $("text").value;
}

export function drawAll(state) {
  shown = state;
  const room = state.rooms.get(state.current);
  const sameRoom = $("messages").dataset.room === room.name;
  if (!sameRoom) {
    $("text").value = room.draft;
    $("text").placeholder = `Message ${room.name}`;
    $("messages").dataset.room = room.name;
  }
  const follow = !sameRoom || atEnd();
  lastDrawn = null;
  // A whole redraw is no news for screen readers.
  $("scroller").setAttribute("aria-live", "off");
  $("messages").replaceChildren();
  for (const record of room.records) draw(state, record);
  $("scroller").setAttribute("aria-live", "polite");
  drawEmpty(room);
  $("leave-room").hidden = [...state.rooms.values()].filter((other) => other.wanted).length < 2;
  drawRooms(state);
  drawPeople(state);
  drawTyping(state);
  fit();
  if (follow) toEnd();
}

export function append(state, record) {
  const follow = atEnd() || record.state === "pending";
  draw(state, record);
  drawEmpty(state.rooms.get(state.current));
  if (follow) toEnd();
  else if (!record.note) $("to-end").hidden = false;
}

function drawEmpty(room) {
  $("empty").hidden = !room.joined || room.records.some((record) => !record.note);
}

function draw(state, record) {
  if (!lastDrawn || day(lastDrawn) !== day(record)) {
    const line = clone("day-template");
    line.firstElementChild.textContent = day(record) === day({ at: Date.now() }) ? "Today" : calendar.format(record.at);
    $("messages").append(line);
    lastDrawn = null;
  }
  $("messages").append(record.note ? drawNote(record) : drawMessage(state, record));
  lastDrawn = record;
}

function drawNote(record) {
  const item = clone("note-template");
  item.textContent = record.note;
  elements.set(record, item);
  return item;
}

function drawMessage(state, record) {
  const item = clone("message-template");
  const own = record.name === state.name;
  item.classList.toggle("own", own);
  item.classList.toggle("follows", followsOn(record));
  item.querySelector(".author").textContent = record.name;
  hue(item, record.name);
  avatar(item.querySelector(".avatar"), record.name);
  const time = item.querySelector("time");
  time.textContent = clock.format(record.at);
  time.dateTime = new Date(record.at).toISOString();
  if (record.image) item.querySelector(".content").append(drawPicture(record));
  else fillText(item.querySelector(".content"), record.text);
  item.querySelector(".bubble").classList.toggle("holds-picture", Boolean(record.image));
  item.querySelector(".failure button").addEventListener("click", () => actions.retry(record));
  elements.set(record, item);
  drawState(record);
  return item;
}

function followsOn(record) {
  return lastDrawn && !lastDrawn.note && lastDrawn.name === record.name && record.at - lastDrawn.at < SAME_AUTHOR_WITHIN;
}

/** Show whether an own message is on its way, delivered or failed. */
export function drawState(record) {
  const item = elements.get(record);
  if (!item) return;
  item.dataset.state = record.state;
  const own = item.classList.contains("own");
  const texts = { pending: "sending", delivered: "delivered", failed: "not delivered" };
  item.querySelector(".state-text").textContent = own ? texts[record.state] : "";
  const failure = item.querySelector(".failure");
  failure.hidden = record.state !== "failed";
  failure.firstElementChild.textContent = record.reason ?? "";
}

/** Text with its web addresses as links. */
function fillText(element, text) {
  let at = 0;
  for (const found of text.matchAll(/https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]]/g)) {
    const link = document.createElement("a");
    link.href = found[0];
    link.textContent = found[0];
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    element.append(text.slice(at, found.index), link);
    at = found.index + found[0].length;
  }
  element.append(text.slice(at));
}

function drawPicture(record) {
  const type = imageType(record.image);
  if (!type) return document.createTextNode("(a file that is no picture)");
  const picture = clone("picture-template");
  const image = picture.querySelector("img");
  if (!addresses.has(record)) addresses.set(record, URL.createObjectURL(new Blob([record.image], { type })));
  const follow = atEnd() || record.state === "pending";
  image.addEventListener("load", () => follow && toEnd());
  image.src = addresses.get(record);
  image.alt = `Picture from ${record.name}`;
  picture.setAttribute("aria-label", `Picture from ${record.name}, show it large`);
  picture.addEventListener("click", () => {
    $("viewer-image").src = image.src;
    $("viewer-image").alt = image.alt;
    $("viewer").showModal();
  });
  return picture;
}

/** Let go of what a record holds in the browser. */
export function forgetRecord(record) {
  elements.get(record)?.remove();
  elements.delete(record);
  if (addresses.has(record)) URL.revokeObjectURL(addresses.get(record));
  addresses.delete(record);
}

export function forget(room) {
  for (const record of room.records) forgetRecord(record);
  for (const timer of room.typing.values()) clearTimeout(timer);
  room.typing.clear();
}

function atEnd() {
  const box = $("scroller");
  return box.scrollHeight - box.scrollTop - box.clientHeight < 80;
}

function toEnd() {
  $("scroller").scrollTop = $("scroller").scrollHeight;
  $("to-end").hidden = true;
}

// --- small helpers ------------------------------------------------------------------------------

function clone(id) {
  return $(id).content.firstElementChild.cloneNode(true);
}

/** Each name has a colour of its own, the same on every page. */
function hue(element, name) {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + character.codePointAt(0)) % 3600;
  element.style.setProperty("--hue", String((sum * 47) % 360));
}

function avatar(element, name) {
  element.textContent = [...name][0]?.toUpperCase() ?? "?";
  hue(element, name);
}

function day(record) {
  return new Date(record.at).toDateString();
}

function plural(count, one, many) {
  return `${count} ${count === 1 ? one : many}`;
}

function sentence(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

function storedName() {
  try {
    return localStorage.getItem("nuncio-name") ?? "";
  } catch {
    return "";
  }
}

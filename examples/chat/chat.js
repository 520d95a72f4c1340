// The chat's state and its conversation with the server. Drawing is in view.js.
//
// A message is shown at once as pending and ticked off when the server acknowledges it. Each carries a
// key, so whatever was pending when a connection broke is sent again after the rooms are joined again,
// and the server keeps it once.

import { prepareImage } from "./images.js";
import * as view from "./view.js";

const FIRST_ROOM = "Lobby";
const KEPT = 300; // messages of one room that the page holds
const ANSWER_WITHIN = 10_000; // milliseconds

const state = {
  name: "",
  rooms: new Map(), // name -> room; see roomOf()
  current: "",
  limits: { text: 2000, image: 1024 * 1024, room: 32 },
};
let socket = null;
let welcomed = false;

view.start({ signIn, signOut, openRoom, leaveRoom, say, show, retry, typed, step });
if (typeof window.io !== "function") {
  view.setupMissing(
    "The Socket.IO client is not installed. Run  npm --prefix examples/chat ci  and start the chat again.",
  );
}

// --- connection ---------------------------------------------------------------------------------

function signIn(name) {
  view.busy(true);
  socket?.disconnect();
  socket = window.io({
    auth: { name, key: tabKey() },
    forceNew: true,
    reconnectionDelay: 500,
    reconnectionDelayMax: 4000,
  });
  welcomed = false;
  socket.on("welcome", welcome);
  socket.on("disconnect", disconnected);
  socket.on("connect_error", refused);
  socket.on("rooms", overview);
  socket.on("message", received);
  socket.on("joined", (room, who, people) => moved(room, people, `${who} joined`));
  socket.on("left", (room, who, people) => moved(room, people, `${who} left`, who));
  socket.on("typing", typing);
}

function signOut() {
  socket?.disconnect();
  socket = null;
  for (const room of state.rooms.values()) view.forget(room);
  state.rooms.clear();
  state.current = "";
  view.showWelcome("");
}

function welcome({ name, limits, rooms }) {
  const again = welcomed;
  welcomed = true;
  state.name = name;
  state.limits = limits;
  remember(localStorage, "nuncio-name", name);
  overview(rooms);
  view.showChat(state);
  view.showLink(socket.io.engine.transport.name);
  socket.io.engine.on("upgrade", (transport) => view.showLink(transport.name));
  view.banner(again ? "back" : "none");
  const wanted = [...state.rooms.values()].filter((room) => room.wanted);
  if (wanted.length) joinAll(wanted);
  else openRoom(roomFromAddress() || FIRST_ROOM);
}

function disconnected(reason) {
  view.showLink("");
  for (const room of state.rooms.values()) {
    room.joined = false;
    room.typing.clear();
  }
  if (!socket || reason === "io client disconnect") return;
  view.banner("lost");
  view.drawTyping(state);
  // After a disconnection that the server asked for, the client waits to be told.
  if (reason === "io server disconnect") setTimeout(() => socket?.connect(), 1000);
}

function refused(error) {
  if (socket.active) {
    // The server cannot be reached; the client goes on trying.
    if (welcomed) view.banner("lost");
    else view.signInProblem("The server does not answer. Trying again …");
    return;
  }
  socket = null;
  view.banner("none");
  view.showWelcome(error.message);
}

// --- rooms --------------------------------------------------------------------------------------

function roomOf(name) {
  if (!state.rooms.has(name)) {
    state.rooms.set(name, {
      name,
      wanted: false, // this page wants to be in it
      joined: false, // the server has let it in
      count: 0,
      people: [],
      records: [], // messages and notes, in order
      typing: new Map(), // name -> timer
      unread: 0,
      draft: "",
    });
  }
  return state.rooms.get(name);
}

function openRoom(name) {
  const room = roomOf(name);
  const first = !room.wanted;
  room.wanted = true;
  if (first) join(room);
  select(room);
}

function select(room) {
  typed(false);
  view.keepDraft(state);
  state.current = room.name;
  room.unread = 0;
  history.replaceState(null, "", `#${encodeURIComponent(room.name)}`);
  view.drawAll(state);
}

/** One after the other, so that no more than one history is on its way. */
function joinAll([room, ...others]) {
  join(room, () => others.length && joinAll(others));
}

function join(room, then = () => {}) {
  socket.timeout(ANSWER_WITHIN).emit("join", room.name, (error, answer) => {
    if (error) {
      if (socket?.connected) join(room, then);
      return;
    }
    then();
    if (!answer?.ok) {
      if (room.name !== FIRST_ROOM) drop(room);
      view.notice(reasonOf(answer));
      return;
    }
    if (answer.room !== room.name) {
      // The server keeps a tidier spelling of the name; go there instead.
      const shown = state.current === room.name;
      drop(room);
      roomOf(answer.room).wanted = true;
      room = roomOf(answer.room);
      if (shown) select(room);
    }
    room.joined = true;
    room.people = answer.people;
    merge(room, answer.history);
    if (room.name === state.current) view.drawAll(state);
    for (const record of room.records) if (record.state === "pending") send(room, record);
  });
}

function leaveRoom() {
  const room = state.rooms.get(state.current);
  if (room?.joined) socket.emit("leave", room.name);
  drop(room);
}

function drop(room) {
  view.forget(room);
  Object.assign(room, { wanted: false, joined: false, records: [], people: [], unread: 0, draft: "" });
  if (!room.count) state.rooms.delete(room.name);
  if (state.current !== room.name) return;
  state.current = "";
  const next = [...state.rooms.values()].find((other) => other.wanted);
  openRoom(next ? next.name : FIRST_ROOM);
}

function overview(rooms) {
  const counts = new Map(rooms.map((room) => [room.name, room.people]));
  for (const [name, count] of counts) roomOf(name).count = count;
  for (const [name, room] of state.rooms) {
    if (counts.has(name)) continue;
    room.count = 0;
    if (!room.wanted) state.rooms.delete(name);
  }
  view.drawRooms(state);
}

function moved(name, people, note, gone) {
  const room = state.rooms.get(name);
  if (!room?.joined) return;
  room.people = people;
  if (gone) stopTyping(room, gone);
  add(room, { note, at: Date.now() });
  if (name === state.current) view.drawPeople(state);
}

/** The next or the previous of the rooms this page is in. */
function step(by) {
  const mine = view.inOrder(state).filter((room) => room.wanted);
  const at = mine.findIndex((room) => room.name === state.current);
  if (mine.length > 1) select(mine[(at + by + mine.length) % mine.length]);
}

// --- messages -----------------------------------------------------------------------------------

function say(text) {
  post({ text });
}

async function show(file) {
  const room = state.current;
  try {
    post({ image: await prepareImage(file, state.limits.image) }, room);
  } catch (error) {
    view.notice(error.message);
  }
}

function post(content, name = state.current) {
  const room = roomOf(name);
  const record = { ...content, key: randomKey(), name: state.name, at: Date.now(), state: "pending" };
  lastTyping = 0;
  add(room, record);
  send(room, record);
}

function send(room, record) {
  if (record.flying || !socket?.connected || !room.joined) return; // join() sends it later
  record.flying = true;
  const [event, content] = record.image ? ["image", record.image] : ["message", record.text];
  socket.timeout(ANSWER_WITHIN).emit(event, room.name, record.key, content, (error, answer) => {
    record.flying = false;
    if (error && !socket?.connected) return;
    if (!error && answer?.ok) delivered(room, record, answer);
    else fail(record, error ? "The server did not answer." : reasonOf(answer));
    view.drawState(record);
  });
}

function delivered(room, record, { id, at }) {
  // When only the answer was lost, the history may have brought the message in the meantime.
  const twice = room.records.findIndex((other) => other.id === id);
  if (twice >= 0) view.forgetRecord(room.records.splice(twice, 1)[0]);
  Object.assign(record, { id, at, state: "delivered" });
}

function fail(record, reason) {
  record.state = "failed";
  record.reason = reason;
}

/** Why the server refused: the chat's own sentence, or one in place of Nuncio's structured error. */
function reasonOf(answer) {
  return typeof answer?.error === "string" ? answer.error : "The server refused it.";
}

function retry(record) {
  record.state = "pending";
  view.drawState(record);
  send(roomOf(state.current), record);
}

function received(message) {
  const room = state.rooms.get(message.room);
  if (!room?.joined) return;
  stopTyping(room, message.name);
  add(room, { ...message, state: "delivered" });
  const unseen = room.name !== state.current || document.hidden;
  if (unseen && message.name !== state.name) room.unread += 1;
  view.drawRooms(state);
}

function add(room, record) {
  room.records.push(record);
  const surplus = room.records.splice(0, Math.max(0, room.records.length - KEPT));
  for (const old of surplus) view.forgetRecord(old);
  if (room.name === state.current) view.append(state, record);
}

/** Put what the server remembers together with what this page already shows. */
function merge(room, history) {
  const known = new Set(room.records.map((record) => record.id));
  const missed = history.filter((message) => !known.has(message.id));
  room.records.push(...missed.map((message) => ({ ...message, state: "delivered" })));
  const rank = (record) => (record.state === "pending" ? Infinity : record.at);
  room.records.sort((one, other) => (rank(one) < rank(other) ? -1 : rank(one) > rank(other) ? 1 : 0));
  for (const old of room.records.splice(0, Math.max(0, room.records.length - KEPT))) view.forgetRecord(old);
}

// --- typing -------------------------------------------------------------------------------------

let lastTyping = 0;

/** The reader typed: tell the others at most every two seconds, and once when the line is empty. */
function typed(active) {
  const room = state.rooms.get(state.current);
  if (!room?.joined || !socket?.connected) return;
  const now = Date.now();
  if (active ? now - lastTyping < 2000 : !lastTyping) return;
  lastTyping = active ? now : 0;
  socket.volatile.emit("typing", room.name, active);
}

function typing(name, who, active) {
  const room = state.rooms.get(name);
  if (!room?.joined || who === state.name) return;
  if (active) {
    clearTimeout(room.typing.get(who));
    room.typing.set(who, setTimeout(() => stopTyping(room, who), 4000));
    view.drawTyping(state);
  } else stopTyping(room, who);
}

function stopTyping(room, who) {
  clearTimeout(room.typing.get(who));
  if (room.typing.delete(who)) view.drawTyping(state);
}

// --- odds and ends ------------------------------------------------------------------------------

/** Proof that this tab is the one that holds its nickname, also after a reload. */
function tabKey() {
  const key = recall(sessionStorage, "nuncio-key") || randomKey();
  remember(sessionStorage, "nuncio-key", key);
  return key;
}

function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function roomFromAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1)).slice(0, 32);
  } catch {
    return "";
  }
}

function remember(storage, name, value) {
  try {
    storage.setItem(name, value);
  } catch {
    // Storage may be switched off; then the page forgets.
  }
}

function recall(storage, name) {
  try {
    return storage.getItem(name);
  } catch {
    return null;
  }
}

"use strict";
// The Node side of the differential tests. It prints its port; each connection there is one run of a
// scenario, and lines of JSON go both ways:
//
//   -> {"do": "run", "server": source or null, "options": source, "port": n, "client": source, "way": {}}
//   <- {"transcript": {...}, "error": text or null}           the run has ended
//
// and while the server is somebody else's, at `port`:
//
//   -> {"do": "log", "entry": [...]}                          it has seen something
//   <- {"call": n, "do": name, "args": [...]}                 it shall do something
//   -> {"do": "answer", "call": n, "ok": value} or "error"

const net = require("net");
const { Script } = require("./client.js");
const { Reference } = require("./reference.js");
const { Transcript } = require("./transcript.js");

const DEADLINE = 60000;
const AsyncFunction = (async () => {}).constructor;

/** Why a script failed: what it was told, or where it is wrong. */
function reason(problem) {
  return problem instanceof Error && problem.constructor !== Error ? problem.stack : String(problem);
}

/** A server in another process. */
class Remote {
  constructor(transcript, say) {
    this.seen = transcript.actor("server");
    this.say = say;
    this.calls = new Map();
  }

  log({ entry: [name, ...args] }) {
    this.seen.add(name, ...args);
  }

  answer({ call, ok, error }) {
    const { resolve, reject } = this.calls.get(call);
    if (error === undefined) resolve(ok);
    else reject(new Error(error));
  }

  call(what, ...args) {
    return new Promise((resolve, reject) => {
      const call = this.calls.size;
      this.calls.set(call, { resolve, reject });
      this.say({ call, do: what, args });
    });
  }

  until(...names) {
    return this.seen.until(...names);
  }

  do(name, ...args) {
    return this.call("command", name, args);
  }

  polled(sid) {
    return this.call("polled", sid);
  }

  sessions(count) {
    return this.call("sessions", count);
  }

  /** What it has said before this is here when this has returned. */
  async stop() {
    await this.call("nothing");
  }
}

class Run {
  constructor(say) {
    this.say = say;
    this.transcript = new Transcript();
  }

  deadline() {
    return new Promise((_, reject) => {
      this.timer = setTimeout(() => reject(new Error("the script does not end")), DEADLINE);
    });
  }

  async run({ server, options, port, client, way }) {
    let error = null;
    const mine = server !== null;
    this.remote = mine ? new Reference(this.transcript) : new Remote(this.transcript, this.say);
    try {
      if (mine) port = await this.remote.start(server, options);
      const tools = new Script(this.transcript, this.remote, port, way);
      try {
        const names = tools.names();
        const script = new AsyncFunction(...Object.keys(names), client);
        await Promise.race([script(...Object.values(names)), this.deadline()]);
        if (!mine) await this.remote.stop();
      } catch (problem) {
        error = reason(problem);
      }
      clearTimeout(this.timer);
      // As it is now: what the end of the clients causes is no part of it.
      this.said = JSON.stringify(this.transcript);
      tools.end();
      if (mine) await this.remote.stop();
    } catch (problem) {
      error = reason(problem);
    }
    this.say({ transcript: JSON.parse(this.said || "{}"), error });
  }
}

const server = net.createServer((stream) => {
  stream.setNoDelay();
  const say = (line) => stream.destroyed || stream.write(JSON.stringify(line) + "\n");
  const run = new Run(say);
  const parts = [];
  stream.on("data", (data) => {
    let start = 0;
    for (let end; (end = data.indexOf(10, start)) >= 0; start = end + 1) {
      parts.push(data.subarray(start, end));
      const line = JSON.parse(Buffer.concat(parts.splice(0)).toString());
      if (line.do === "run") run.run(line);
      else run.remote[line.do](line);
    }
    parts.push(data.subarray(start));
  });
  stream.on("error", () => {});
});

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
// It lives as long as the tests do.
process.stdin.on("end", () => process.exit()).resume();

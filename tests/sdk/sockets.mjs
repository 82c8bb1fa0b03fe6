// Checks the loopback server's WebSockets with the official `openai` client for Node.
//
// As `check.mjs`, but with `npm install openai ws`.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import readline from "node:readline";
import OpenAI from "openai";
import { OpenAIRealtimeWS } from "openai/realtime/ws";
import { ResponsesWS } from "openai/resources/responses/ws";

// Realtime sockets of this client are always over TLS.
const folder = mkdtempSync(join(tmpdir(), "serve-"));
const authority = join(folder, "ca.pem");
const child = spawn(process.argv[2], ["--pace", "0", "--tls", authority], {
  stdio: ["ignore", "pipe", "inherit"],
});
const output = readline.createInterface({ input: child.stdout });
const baseURL = await new Promise((resolve) => output.once("line", resolve));
const ca = readFileSync(authority);
const api = new OpenAI({ baseURL, apiKey: "sk-test", maxRetries: 0 });

// The events up to the first of these types.
function until(socket, types) {
  return new Promise((resolve, reject) => {
    const events = [];
    const hear = (event) => {
      events.push(event);
      if (!types.includes(event.type)) return;
      socket.off("event", hear);
      resolve(events);
    };
    socket.on("event", hear);
    socket.socket.once("close", (code) => reject(new Error(`closed with ${code}`)));
  });
}

const opened = (socket) => new Promise((resolve) => socket.socket.once("open", resolve));

async function responses() {
  const socket = new ResponsesWS(api, { ca });
  socket.on("error", () => {});
  await opened(socket);
  const turn = (more) => {
    const events = until(socket, ["response.completed", "error"]);
    socket.send({ type: "response.create", model: "gpt-5.2", input: "Hello there", ...more });
    return events;
  };
  const events = await turn({ store: false });
  const done = events.at(-1);
  assert.equal(done.type, "response.completed");
  assert.equal(events[0].type, "response.created");
  const previous_response_id = done.response.id;
  const next = (await turn({ store: false, previous_response_id })).at(-1);
  assert.equal(next.response.previous_response_id, previous_response_id);
  socket.close();
}

async function realtime() {
  const socket = new OpenAIRealtimeWS({ model: "gpt-realtime", options: { ca } }, api);
  const created = await until(socket, ["session.created"]);
  assert.equal(created[0].session.model, "gpt-realtime");
  const session = { type: "realtime", output_modalities: ["text"] };
  const updated = until(socket, ["session.updated"]);
  socket.send({ type: "session.update", session });
  assert.deepEqual((await updated).at(-1).session.output_modalities, ["text"]);
  const content = [{ type: "input_text", text: "Hello there" }];
  const answered = until(socket, ["response.done"]);
  socket.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
  socket.send({ type: "response.create" });
  const said = (await answered).at(-1).response.output[0].content[0].text;
  assert.ok(said.includes("Hello there"), said);
  socket.close();
}

try {
  for (const check of [responses, realtime]) {
    await check();
    console.log(check.name, "ok");
  }
} finally {
  child.kill("SIGKILL");
  rmSync(folder, { recursive: true });
}

// Checks the loopback server with the official `openai` client for Node.
//
// Not part of `cargo test`. In a scratch folder:
//
//     npm init -y && npm install openai
//     cp .../tests/sdk/check.mjs . && node check.mjs .../target/debug/examples/serve
//
// (Node looks for packages beside the script, hence the copy.) Starts the given `serve` binary
// itself, stops it at the end, and exits with 0 if all is well.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import readline from "node:readline";
import OpenAI from "openai";

const SERVE = process.argv[2];
const MODEL = "gpt-5.2";
const TOOL = {
  type: "function",
  name: "get_weather",
  description: "The weather of a city.",
  strict: true,
  parameters: {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
    additionalProperties: false,
  },
};

async function withServer(args, script, use) {
  const folder = mkdtempSync(join(tmpdir(), "serve-"));
  if (script) {
    const file = join(folder, "script.json");
    writeFileSync(file, JSON.stringify(script));
    args = [...args, "--script", file];
  }
  const child = spawn(SERVE, ["--pace", "0", ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const lines = [];
  const output = readline.createInterface({ input: child.stdout });
  const first = new Promise((resolve) => output.once("line", resolve));
  output.on("line", (line) => lines.push(line));
  try {
    await use(await first);
    assert.equal(lines.length, 1, "one line on stdout and no more");
  } finally {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true });
  }
}

const client = (baseURL, maxRetries = 0, apiKey = "sk-test") =>
  new OpenAI({ baseURL, apiKey, maxRetries });

function ask(api, body = {}, script) {
  const headers = script ? { "x-script": script } : {};
  return api.responses.create({ model: MODEL, input: "Hello there", ...body }, { headers });
}

async function all(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

async function error(kind, status, call) {
  const error = await call().then(
    () => assert.fail(`no ${kind.name}`),
    (error) => error,
  );
  assert.equal(error.constructor, kind);
  assert.equal(error.status, status);
  assert.match(error.requestID, /^req_/);
  return error;
}

async function checkStream(api) {
  const events = await all(await ask(api, { stream: true }));
  assert.deepEqual(events.map((event) => event.sequence_number), [...events.keys()]);
  assert.equal(events[0].type, "response.created");
  const last = events.at(-1);
  assert.equal(last.type, "response.completed");
  const text = events
    .filter((event) => event.type === "response.output_text.delta")
    .map((event) => event.delta)
    .join("");
  assert.equal(last.response.output[0].content[0].text, text);
  const final = await api.responses.stream({ model: MODEL, input: "Hello there" }).finalResponse();
  assert.equal(final.output_text, text);
  return `${events.length} events, ${JSON.stringify(text)}`;
}

async function checkJson(api) {
  const response = await ask(api);
  assert.equal(response.status, "completed");
  assert.match(response._request_id, /^req_/);
  return `${response.id} ${JSON.stringify(response.output_text)}`;
}

async function checkFunctionCall(api) {
  const question = { role: "user", content: "Please get weather for Oslo" };
  const body = { input: [question], tools: [TOOL] };
  const stream = api.responses.stream({ model: MODEL, ...body });
  const events = await all(stream);
  assert(events.some((event) => event.type === "response.function_call_arguments.done"));
  const response = await stream.finalResponse();
  const [call] = response.output;
  assert.equal(call.name, "get_weather");
  assert.deepEqual(JSON.parse(call.arguments), { city: "example" });
  const output = { type: "function_call_output", call_id: call.call_id, output: "rain" };
  const item = { type: "function_call", call_id: call.call_id, name: call.name,
    arguments: call.arguments };
  const after = await ask(api, { input: [question, item, output], tools: [TOOL] });
  assert.equal(after.output_text, "The tool answered: rain");
  return `${call.name}(${call.arguments}) -> ${JSON.stringify(after.output_text)}`;
}

async function checkReasoning(api) {
  const reasoning = { effort: "low", summary: "auto" };
  const events = await all(await ask(api, { stream: true, reasoning }));
  assert(events.some((event) => event.type === "response.reasoning_summary_text.delta"));
  const [thought, message] = events.at(-1).response.output;
  assert.deepEqual([thought.type, message.type], ["reasoning", "message"]);
  return JSON.stringify(thought.summary[0].text);
}

async function checkErrors(baseURL) {
  let limited;
  for (const retries of [0, 2]) {
    const api = client(baseURL, retries);
    limited = await error(OpenAI.RateLimitError, 429, () => ask(api, {}, "429"));
    assert.equal(limited.code, "rate_limit_exceeded");
    await error(OpenAI.InternalServerError, 500, () => ask(api, {}, "500"));
    await error(OpenAI.RateLimitError, 429, () => ask(api, { stream: true }, "429"));
    await error(OpenAI.InternalServerError, 500, () => ask(api, { stream: true }, "500"));
  }
  const api = client(baseURL);
  await error(OpenAI.BadRequestError, 400, () => ask(api, {}, "400"));
  await error(OpenAI.AuthenticationError, 401, () => ask(api, {}, "401"));
  await error(OpenAI.PermissionDeniedError, 403, () => ask(api, {}, "403"));
  await error(OpenAI.NotFoundError, 404, () => ask(api, {}, "404"));
  await error(OpenAI.ConflictError, 409, () => ask(api, {}, "409"));
  await error(OpenAI.UnprocessableEntityError, 422, () => ask(api, {}, "422"));
  await error(OpenAI.InternalServerError, 502, () => ask(api, {}, "html"));
  const missing = await error(OpenAI.BadRequestError, 400, () =>
    api.post("/responses", { body: {} }),
  );
  assert.deepEqual([missing.param, missing.code], ["model", "missing_required_parameter"]);
  return limited.message;
}

async function checkBadEnds(api) {
  const failed = (await all(await ask(api, { stream: true }, "failed"))).at(-1);
  assert.equal(failed.type, "response.failed");
  assert.equal(failed.response.error.code, "server_error");
  const short = (await all(await ask(api, { stream: true }, "incomplete"))).at(-1);
  assert.equal(short.response.incomplete_details.reason, "max_output_tokens");
  for (const script of ["truncate", "reset", "reset-head", "hang-up"]) {
    await assert.rejects(async () => all(await ask(api, { stream: true }, script)), script);
  }
  for (const script of ["comments", "crlf", "drip"]) {
    const events = await all(await ask(api, { stream: true }, script));
    assert.equal(events.at(-1).type, "response.completed", script);
  }
  const stalled = await ask(api, { stream: true }, "stall");
  for await (const event of stalled) if (event.type === "response.output_text.delta") break;
  return "failed, incomplete, truncate, reset, reset-head, hang-up, comments, crlf, drip, stall";
}

const { version } = JSON.parse(readFileSync("node_modules/openai/package.json", "utf8"));
console.log("openai", version, "Node", process.version);
await withServer([], undefined, async (baseURL) => {
  const api = client(baseURL);
  for (const check of [checkStream, checkJson, checkFunctionCall, checkReasoning, checkBadEnds]) {
    console.log(`${check.name}: ${await check(api)}`);
  }
  console.log(`checkErrors: ${await checkErrors(baseURL)}`);
});
await withServer(["--key", "sk-right"], undefined, async (baseURL) => {
  assert.equal((await ask(client(baseURL, 0, "sk-right"))).status, "completed");
  const guess = client(baseURL, 0, "sk-guess");
  const refused = await error(OpenAI.AuthenticationError, 401, () => ask(guess));
  assert(!refused.message.includes("sk-guess"));
  console.log(`checkKey: ${refused.message}`);
});
await withServer([], ["429", "500", "ok", { status: 503, times: 3 }], async (baseURL) => {
  const api = client(baseURL, 2);
  assert.equal((await ask(api)).status, "completed", "the third try");
  await error(OpenAI.InternalServerError, 503, () => ask(api));
  assert.equal((await ask(api)).status, "completed", "the queue is used up");
  console.log("checkQueue: 429, 500, ok in one call; three 503 in the next");
});

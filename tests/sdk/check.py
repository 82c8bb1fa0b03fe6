"""Checks the loopback server with the official `openai` client for Python.

Not part of `cargo test`. In a scratch folder:

    python3 -m venv venv && venv/bin/pip install openai
    venv/bin/python .../tests/sdk/check.py .../target/debug/examples/serve

Starts the given `serve` binary itself, stops it at the end, and exits with 0 if all is well.
"""

import contextlib
import json
import subprocess
import sys
import tempfile

import openai

SERVE = sys.argv[1]
TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


@contextlib.contextmanager
def server(*args, script=None):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        if script is not None:
            json.dump(script, file)
            file.flush()
            args = (*args, "--script", file.name)
        process = subprocess.Popen([SERVE, "--pace", "0", *args], stdout=subprocess.PIPE, text=True)
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()
            assert process.communicate()[0] == "", "one line on stdout and no more"


def client(base_url, retries=0, key="sk-test"):
    return openai.OpenAI(base_url=base_url, api_key=key, max_retries=retries)


def ask(api, stream=False, script=None, **more):
    headers = {"x-script": script} if script else None
    arguments = {"model": "gpt-5.2", "input": "Hello there", **more}
    return api.responses.create(stream=stream, extra_headers=headers, **arguments)


def error(kind, status, call):
    try:
        call()
    except openai.APIStatusError as error:
        assert type(error) is kind, type(error)
        assert error.status_code == status, error.status_code
        assert error.request_id.startswith("req_"), error.request_id
        return error
    raise AssertionError(f"no {kind.__name__}")


def strict(model):
    """The client builds its models leniently; this is pydantic's own judgement."""
    type(model).model_validate(model.to_dict())


def check_stream(api):
    events = list(ask(api, stream=True))
    for event in events:
        strict(event)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created" and events[-1].type == "response.completed"
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    final = events[-1].response
    assert final.output_text == text and "Hello there" in text, text
    usage = final.usage
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    assert usage.input_tokens_details.cached_tokens == 0
    assert not any(type(event) is dict for event in events), "every event has a model"
    with api.responses.stream(model="gpt-5.2", input="Hello there") as stream:
        assert stream.get_final_response().output_text == text
    return f"{len(events)} events, {text!r}"


def check_json(api):
    response = ask(api)
    assert response.status == "completed" and response.object == "response"
    assert response._request_id.startswith("req_")
    strict(response)
    raw = api.responses.with_raw_response.create(model="gpt-5.2", input="x")
    assert raw.headers["openai-version"] == "2020-10-01"
    assert raw.headers["x-ratelimit-limit-requests"] == "500"
    return f"{response.id} {response.output_text!r}"


def check_function_call(api):
    question = {"role": "user", "content": "Please get weather for Oslo"}
    with api.responses.stream(model="gpt-5.2", input=[question], tools=[TOOL]) as stream:
        events = list(stream)
        kinds = [event.type for event in events]
        response = stream.get_final_response()
    assert "response.function_call_arguments.done" in kinds, kinds
    for event in ask(api, stream=True, input=[question], tools=[TOOL]):
        strict(event)
    (call,) = response.output
    assert call.type == "function_call" and call.name == "get_weather"
    assert json.loads(call.arguments) == {"city": "example"}
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    # Back as it came: the items of the answer are valid input.
    item = {"type": "function_call", "call_id": call.call_id, "name": call.name,
            "arguments": call.arguments}
    after = ask(api, input=[question, item, output], tools=[TOOL])
    assert after.output_text == "The tool answered: rain", after.output_text
    return f"{call.name}({call.arguments}) -> {after.output_text!r}"


def check_reasoning(api):
    events = list(ask(api, stream=True, reasoning={"effort": "low", "summary": "auto"}))
    kinds = {event.type for event in events}
    for event in events:
        strict(event)
    assert "response.reasoning_summary_text.delta" in kinds, kinds
    reasoning, message = events[-1].response.output
    assert (reasoning.type, message.type) == ("reasoning", "message")
    assert events[-1].response.usage.output_tokens_details.reasoning_tokens > 0
    return repr(reasoning.summary[0].text)


def check_parsed(api):
    import pydantic

    class Answer(pydantic.BaseModel):
        name: str
        count: int

    response = api.responses.parse(model="gpt-5.2", input="x", text_format=Answer)
    return repr(response.output_parsed)


def check_errors(base_url):
    for retries in (0, 2):
        api = client(base_url, retries)
        limited = error(openai.RateLimitError, 429, lambda: ask(api, script="429"))
        assert limited.code == "rate_limit_exceeded" and limited.type == "requests"
        error(openai.InternalServerError, 500, lambda: ask(api, script="500"))
        error(openai.RateLimitError, 429, lambda: ask(api, script="429", stream=True))
        error(openai.InternalServerError, 500, lambda: ask(api, script="500", stream=True))
    api = client(base_url)
    error(openai.BadRequestError, 400, lambda: ask(api, script="400"))
    error(openai.AuthenticationError, 401, lambda: ask(api, script="401"))
    error(openai.PermissionDeniedError, 403, lambda: ask(api, script="403"))
    error(openai.NotFoundError, 404, lambda: ask(api, script="404"))
    error(openai.ConflictError, 409, lambda: ask(api, script="409"))
    error(openai.UnprocessableEntityError, 422, lambda: ask(api, script="422"))
    error(openai.InternalServerError, 502, lambda: ask(api, script="html"))
    quota = error(openai.RateLimitError, 429, lambda: ask(api, script="429-quota"))
    assert quota.code == "insufficient_quota"
    missing = error(
        openai.BadRequestError, 400, lambda: api.post("/responses", cast_to=object, body={})
    )
    assert missing.param == "model" and missing.code == "missing_required_parameter"
    error(openai.BadRequestError, 400, lambda: ask(api, script="no such script"))
    return str(limited)


def check_bad_ends(api):
    failed = list(ask(api, stream=True, script="failed"))[-1]
    strict(failed)
    assert failed.type == "response.failed" and failed.response.error.code == "server_error"
    cut_short = list(ask(api, stream=True, script="incomplete"))[-1]
    assert cut_short.response.incomplete_details.reason == "max_output_tokens"
    assert ask(api, script="incomplete").status == "incomplete"
    for script in ("truncate", "reset", "reset-head", "hang-up"):
        try:
            list(ask(api, stream=True, script=script))
        except Exception as error:
            assert "Connection" in repr(error) or "Protocol" in repr(error) or "Read" in repr(error)
        else:
            raise AssertionError(f"{script} was not noticed")
    for script in ("comments", "crlf", "drip"):
        assert list(ask(api, stream=True, script=script))[-1].type == "response.completed", script
    return "failed, incomplete, truncate, reset, reset-head, hang-up, comments, crlf, drip"


def main():
    print("openai", openai.__version__, "Python", sys.version.split()[0])
    with server() as base_url:
        api = client(base_url)
        for check in (
            check_stream, check_json, check_function_call, check_reasoning, check_parsed,
            check_bad_ends,
        ):
            print(f"{check.__name__}: {check(api)}")
        print("check_errors:", check_errors(base_url))
    with server("--key", "sk-right") as base_url:
        assert ask(client(base_url, key="sk-right")).status == "completed"
        refused = error(
            openai.AuthenticationError, 401, lambda: ask(client(base_url, key="sk-guess"))
        )
        assert "sk-guess" not in str(refused) and refused.code == "invalid_api_key"
        print("check_key:", refused)
    with server(script=["429", "500", "ok", {"status": 503, "times": 3}]) as base_url:
        api = client(base_url, retries=2)
        assert ask(api).status == "completed", "the third try"
        error(openai.InternalServerError, 503, lambda: ask(api))
        assert ask(api).status == "completed", "the queue is used up"
        print("check_queue: 429, 500, ok in one call; three 503 in the next")


main()

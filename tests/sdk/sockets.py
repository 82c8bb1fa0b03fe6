"""Checks the loopback server's WebSockets with the official `openai` client for Python.

As `check.py`, but with `pip install 'openai[realtime]'`. Every event has to be one that the client's
own types describe.
"""

import base64
import contextlib
import subprocess
import sys

import openai
import pydantic
from openai.types.realtime import RealtimeServerEvent
from openai.types.responses import ResponsesServerEvent
from websockets.exceptions import ConnectionClosed, InvalidStatus

SERVE = sys.argv[1]
TOOL = {"type": "function", "name": "get_time", "parameters": {"type": "object", "properties": {}}}


@contextlib.contextmanager
def server(*args):
    process = subprocess.Popen([SERVE, "--pace", "0", *args], stdout=subprocess.PIPE, text=True)
    try:
        yield openai.OpenAI(base_url=process.stdout.readline().strip(), api_key="sk-test")
    finally:
        process.kill()
        process.wait()


def strict(kind, event):
    """The client builds its models leniently; this is pydantic's own judgement."""
    pydantic.TypeAdapter(kind).validate_python(event.to_dict())
    return event


def until(kind, connection, *types):
    events = []
    while True:
        events.append(strict(kind, connection.recv()))
        if events[-1].type in types:
            return events


def turn(connection, **more):
    connection.response.create(**{"model": "gpt-5.2", "input": "Hello there", **more})
    return until(ResponsesServerEvent, connection, "response.completed", "response.failed", "error")


def check_responses(api):
    with api.responses.connect() as connection:
        events = turn(connection, store=False)
        assert [event.sequence_number for event in events] == list(range(len(events)))
        previous = events[-1].response.id
        events = turn(connection, store=False, previous_response_id=previous)
        assert events[-1].response.previous_response_id == previous
        error = turn(connection, store=False, previous_response_id=previous)[-1]
        assert error.error.code == "previous_response_not_found", error
        events = turn(connection, stream_id="lane", tools=[TOOL], input="get_time")
        assert {event.stream_id for event in events} == {"lane"}
        assert events[-1].response.output[0].name == "get_time"


def check_faults(api):
    with api.responses.connect(extra_headers={"x-script": "turn-429"}) as connection:
        assert turn(connection)[-1].status == 429
    with api.responses.connect(extra_headers={"x-script": "close-1011"}) as connection:
        try:
            turn(connection)
        except ConnectionClosed as closed:
            assert closed.rcvd.code == 1011, closed
        else:
            raise AssertionError("not closed")
    try:
        api.responses.connect(extra_headers={"x-script": "426"}).enter()
    except InvalidStatus as refused:
        assert refused.response.status_code == 426
    else:
        raise AssertionError("not refused")


def events_of(connection, *types):
    return until(RealtimeServerEvent, connection, *types)


def check_realtime(api):
    with api.realtime.connect(model="gpt-realtime") as connection:
        assert events_of(connection, "session.created")[0].session.model == "gpt-realtime"
        session = {"type": "realtime", "output_modalities": ["text"], "tools": [TOOL]}
        connection.session.update(session=session)
        events_of(connection, "session.updated")
        for text, expected in [("Hello there", "message"), ("get_time", "function_call")]:
            content = [{"type": "input_text", "text": text}]
            item = {"type": "message", "role": "user", "content": content}
            connection.conversation.item.create(item=item)
            connection.response.create()
            response = events_of(connection, "response.done")[-1].response
            assert response.output[0].type == expected, response
        connection.response.cancel()
        error = events_of(connection, "error")[-1].error
        assert error.code == "response_cancel_not_active", error


def check_speech(api):
    with api.realtime.connect(model="gpt-realtime") as connection:
        transcription = {"model": "gpt-4o-mini-transcribe"}
        session = {"type": "realtime", "audio": {"input": {"transcription": transcription}}}
        connection.session.update(session=session)
        for sample in [b"\x00\x40", b"\x00\x00"]:
            audio = base64.b64encode(sample * 24 * 600).decode()
            connection.input_audio_buffer.append(audio=audio)
        events = events_of(connection, "response.done")
        types = {event.type for event in events}
        assert "conversation.item.input_audio_transcription.completed" in types, types
        assert "response.output_audio.delta" in types, types


with server() as api:
    for check in [check_responses, check_faults, check_realtime, check_speech]:
        check(api)
        print(check.__name__, "ok")
print(f"openai {openai.__version__}: all is well")

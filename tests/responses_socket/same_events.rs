//! The same script of turns gives the same typed events over server-sent events and over a socket.

use std::collections::HashMap;

use serde_json::{Value, json};
use tower::{Service, ServiceExt};
use tower_openai::model::{
    FunctionTool, Include, Reasoning, ReasoningEffort, ReasoningSummary, ResponseEvent,
    ResponseItem, Schema,
};
use tower_openai::services::{ResponsesRequest, ResponsesSocketRequest};
use tower_openai::sse::{EventSource, ResponseStream};
use tower_openai::testing::{Script, Server};
use tower_openai::{Client, Error};

use crate::support::*;

/// What a turn may go on from.
#[derive(Default)]
struct Before {
    response_id: String,
    call_id: String,
}

/// One turn: how the server answers, and what is asked.
struct Turn {
    name: &'static str,
    script: fn() -> Script,
    ask: fn(&Before) -> ResponsesRequest,
}

fn weather() -> FunctionTool {
    let city = Schema::object().property("city", Schema::string()).required(["city"]);
    FunctionTool::new("get_weather", "The weather at a place").parameters(city)
}

fn plain(_: &Before) -> ResponsesRequest {
    request("hello")
}

fn completed() -> Value {
    json!({"type": "response.completed", "response": {"id": "resp_own", "usage":
        {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}}})
}

/// Events between the first one and the last.
fn between(events: Vec<Value>) -> Script {
    let created = json!({"type": "response.created", "response": {"id": "resp_own"}});
    Script::events([created].into_iter().chain(events).chain([completed()]))
}

fn refusal() -> Script {
    let place = json!({"item_id": "msg_own", "output_index": 0, "content_index": 0});
    let event = |kind: &str, member: &str, value: Value| {
        let mut event = place.clone();
        event["type"] = kind.into();
        event[member] = value;
        event
    };
    let part = |text: &str| json!({"type": "refusal", "refusal": text});
    let item = |content: Value| json!({"type": "message", "id": "msg_own", "role": "assistant", "status": "completed", "content": content});
    between(vec![
        json!({"type": "response.output_item.added", "output_index": 0, "item": item(json!([]))}),
        event("response.content_part.added", "part", part("")),
        event("response.refusal.delta", "delta", "I can\u{2019}t ".into()),
        event("response.refusal.delta", "delta", "do \"that\".".into()),
        event("response.refusal.done", "refusal", "I can\u{2019}t do \"that\".".into()),
        event("response.content_part.done", "part", part("I can\u{2019}t do \"that\".")),
        json!({"type": "response.output_item.done", "output_index": 0,
            "item": item(json!([part("I can\u{2019}t do \"that\".")]))}),
    ])
}

/// What the Codex backend says beside an answer.
fn aside() -> Script {
    between(vec![
        json!({"type": "codex.rate_limits", "plan_type": "plus", "rate_limits":
            {"primary": {"used_percent": 5, "window_minutes": 15, "reset_at": 1}}}),
        json!({"type": "response.metadata",
            "headers": {"OpenAI-Model": ["gpt-of-the-event"], "x-codex-turn-state": "note"},
            "metadata": {"openai_verification_recommendation": ["trusted_access_for_cyber"],
                "openai_chatgpt_moderation_metadata": {"own": 1}}}),
        json!({"type": "response.unheard_of", "own": [1, null]}),
    ])
}

fn limited() -> Script {
    let error =
        json!({"type": "usage_limit_reached", "message": "m", "plan_type": "plus", "resets_at": 5});
    Script::status(429)
        .header("retry-after", "7")
        .header("x-codex-primary-used-percent", "100")
        .header("x-codex-primary-window-minutes", "15")
        .json(json!({ "error": error }))
}

const TURNS: &[Turn] = &[
    Turn { name: "text", script: Script::natural, ask: plain },
    Turn {
        name: "a long text",
        script: || Script::natural().text("many words of a long text ".repeat(50)),
        ask: plain,
    },
    Turn {
        name: "a tool call",
        script: Script::natural,
        ask: |_| request("get_weather").tool(weather()),
    },
    Turn {
        name: "a chained second turn",
        script: Script::natural,
        ask: |before| {
            let output = ResponseItem::function_call_output(&*before.call_id, "sunny");
            let next = ResponsesRequest::new("gpt-5.2", output).tool(weather());
            next.previous_response_id(&*before.response_id)
        },
    },
    Turn {
        name: "reasoning",
        script: Script::natural,
        ask: |_| {
            let mut reasoning = Reasoning::effort(ReasoningEffort::High);
            reasoning.summary = Some(ReasoningSummary::Detailed);
            request("think").reasoning(reasoning).include(Include::EncryptedReasoning)
        },
    },
    Turn { name: "a refusal of the model", script: refusal, ask: plain },
    Turn { name: "rate limits and metadata", script: aside, ask: plain },
    Turn {
        name: "failed",
        script: || Script::natural().failed("server_error", "Oops"),
        ask: plain,
    },
    Turn {
        name: "failed, with a wait",
        script: || Script::natural().failed("rate_limit_exceeded", "try again in 1.5s"),
        ask: plain,
    },
    Turn {
        name: "incomplete",
        script: || Script::natural().incomplete("max_output_tokens"),
        ask: plain,
    },
    Turn {
        name: "an error event",
        script: || Script::natural().error_event("server_error", "Oops"),
        ask: plain,
    },
    Turn {
        name: "an event that cannot be read",
        script: || between(vec![json!({"type": "response.output_text.delta"})]),
        ask: plain,
    },
    Turn { name: "refused with 429", script: limited, ask: plain },
    Turn {
        name: "refused with 400",
        script: || {
            let error =
                json!({"message": "m", "code": "context_length_exceeded", "param": "input"});
            Script::status(400).json(json!({ "error": error }))
        },
        ask: plain,
    },
    Turn {
        name: "a chain that is lost",
        script: || {
            let error = json!({"message": "gone", "code": "previous_response_not_found"});
            Script::status(404).json(json!({ "error": error }))
        },
        ask: |_| request("on").previous_response_id("resp_gone"),
    },
    Turn {
        name: "chained to what was before all that",
        script: Script::natural,
        ask: |before| request("and now?").previous_response_id(&*before.response_id),
    },
];

/// Plays the turns, and gives all that a reader gets of each.
async fn play<S, Src>(server: &Server, mut responses: S, turns: &[Turn]) -> Vec<Vec<Value>>
where
    S: Service<ResponsesRequest, Response = ResponseStream<Src>, Error = Error>,
    Src: EventSource + Unpin,
{
    let mut before = Before::default();
    let mut told = Vec::new();
    for turn in turns {
        server.enqueue((turn.script)());
        let request = (turn.ask)(&before);
        let call = responses.ready().await.unwrap().call(request);
        let mut names = Names::default();
        let mut all = Vec::new();
        match soon(call).await {
            Err(error) => all.push(facts(&error, &mut names)),
            Ok(mut stream) => {
                while let Some(event) = soon(stream.next()).await {
                    all.push(match event {
                        Err(error) => facts(&error, &mut names),
                        Ok(event) => {
                            note(&event, &mut before);
                            names.same(serde_json::to_value(&event).unwrap())
                        }
                    });
                }
            }
        }
        told.push(all);
    }
    told
}

fn note(event: &ResponseEvent, before: &mut Before) {
    if let ResponseEvent::Completed(event) = event {
        // Scripted ones are not remembered.
        if &*event.response.id != "resp_own" {
            before.response_id = event.response.id.to_string();
        }
        let calls = event.response.output.iter();
        if let Some(ResponseItem::FunctionCall(call)) = calls.last() {
            before.call_id = call.call_id.to_string();
        }
    }
}

fn facts(error: &Error, names: &mut Names) -> Value {
    let response = error.response().map(|response| serde_json::to_value(response).unwrap());
    json!({
        "kind": error.kind().as_str(), "stage": error.stage().as_str(), "code": error.code(),
        "status": error.status().map(|status| status.as_u16()), "message": error.message(),
        "param": error.param(), "type": error.error_type(), "retryable": error.is_retryable(),
        "retry_after": error.retry_after().map(|time| time.as_millis() as u64),
        "plan": error.plan_type(), "resets_at": error.resets_at(),
        "rate_limits": error.rate_limits().len(), "sequence_number": error.sequence_number(),
        "incomplete": error.incomplete_reason(),
        "response_id": names.same(json!(error.response_id())),
        "response": response.map(|response| names.same(response)),
    })
}

/// Ids and times differ from answer to answer: those of one are numbered as they come.
#[derive(Default)]
struct Names(HashMap<String, usize>);

impl Names {
    fn same(&mut self, value: Value) -> Value {
        match value {
            Value::String(text) => self.same_text(text).into(),
            Value::Array(all) => all.into_iter().map(|value| self.same(value)).collect(),
            Value::Object(members) => members
                .into_iter()
                .filter(|(name, _)| !name.ends_with("_at"))
                .map(|(name, value)| (name, self.same(value)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            other => other,
        }
    }

    fn same_text(&mut self, text: String) -> String {
        match text.split_once('_') {
            Some((kind @ ("resp" | "msg" | "rs" | "fc" | "call" | "gAAAAABloopback"), rest))
                if rest.len() >= 24 =>
            {
                let number = self.0.len();
                format!("{kind}#{}", self.0.entry(text.clone()).or_insert(number))
            }
            _ => text,
        }
    }
}

#[track_caller]
fn assert_same(transport: &str, told: &[Vec<Value>], over_http: &[Vec<Value>]) {
    for ((turn, told), expected) in TURNS.iter().zip(told).zip(over_http) {
        assert_eq!(told, expected, "{} over {transport}", turn.name);
    }
    assert_eq!(told.len(), over_http.len());
}

/// A server that remembers only what it was asked over one transport, and its client.
async fn world() -> (Server, Client) {
    let server = Server::start().await.unwrap();
    let client = Client::builder().base_url(server.base_url()).max_retries(0).build().unwrap();
    (server, client)
}

#[tokio::test]
async fn the_same_script_of_turns_gives_the_same_typed_events_over_sse_and_over_the_socket() {
    let (server, client) = world().await;
    let over_http = play(&server, client.responses(), TURNS).await;
    let has = |turn: usize, kind: &str| over_http[turn].iter().any(|event| event["type"] == kind);
    assert!(has(2, "response.function_call_arguments.done"), "{:#?}", over_http[2]);
    assert!(has(4, "response.reasoning_summary_text.delta"), "{:#?}", over_http[4]);
    assert!(has(5, "response.refusal.done") && has(6, "codex.rate_limits"));
    assert!(has(6, "client.server_model") && has(6, "client.model_verifications"));
    assert_eq!(over_http[11].last().unwrap()["kind"], "protocol");

    let (server, client) = world().await;
    let socket = client.responses_socket();
    let connection = socket.connect_inline(ResponsesSocketRequest::new()).await.unwrap();
    assert_same("a connection", &play(&server, connection, TURNS).await, &over_http);
    assert_eq!(server.requests().len(), 1);

    let (server, client) = world().await;
    let socket = client.responses_socket();
    let (connection, driver) = socket.connect(ResponsesSocketRequest::new()).await.unwrap();
    tokio::spawn(driver);
    assert_same("a driven one", &play(&server, connection, TURNS).await, &over_http);

    let (server, client) = world().await;
    // Its handshake would take the first script that can answer it.
    let prefer = client.prefer_socket(ResponsesSocketRequest::new());
    assert_same("Prefer", &play(&server, prefer, TURNS).await, &over_http);
    assert_eq!(server.requests().len(), 1, "all of it went over the socket");
}

#[tokio::test]
async fn what_heads_say_gives_the_same_typed_events_over_sse_and_over_the_socket() {
    let said = |script: Script| {
        script
            .header("openai-model", "gpt-that-serves")
            .header("x-models-etag", "etag")
            .header("x-reasoning-included", "true")
            .header("x-codex-primary-used-percent", "12.5")
            .header("x-codex-primary-window-minutes", "300")
            .header("x-ratelimit-remaining-tokens", "149984")
    };
    let turn = |script| [Turn { name: "heads", script, ask: plain }];
    let (server, client) = world().await;
    server.enqueue(said(Script::natural()));
    let over_http = play(&server, client.responses(), &turn(Script::natural)).await;
    let kinds: Vec<_> = over_http[0].iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds[..5],
        [
            "client.server_model",
            "client.rate_limits",
            "client.models_etag",
            "client.reasoning_included",
            "response.created"
        ]
    );

    let (server, client) = world().await;
    server.enqueue(said(Script::handshake()));
    let socket = client.responses_socket();
    let connection = socket.connect_inline(ResponsesSocketRequest::new()).await.unwrap();
    assert_eq!(play(&server, connection, &turn(Script::natural)).await, over_http);
}

//! `Realtime` through an assembled stack, against the loopback server's sessions.

use std::time::Duration;

use serde_json::{Value, json};
use tower::ServiceBuilder;
use tower_openai::layers::{AuthLayer, Bearer, ProviderLayer, RetryLayer, RetryPolicy};
use tower_openai::model::realtime::codex::{
    Interpreter, RealtimeConversationVersion, RealtimeEvent, Transcript,
};
use tower_openai::model::realtime::{
    AudioInput, BargeIn, ClientEvent, CodexTools, OneResponse, OutputModality, ResponseCreate,
    ServerEvent, Session, Voice,
};
use tower_openai::provider::Provider;
use tower_openai::services::{
    HttpService, Realtime, RealtimeCall, RealtimeCallRequest, RealtimeConnected, RealtimeEvents,
    RealtimeReconnect, RealtimeRequest, RealtimeWriter,
};
use tower_openai::testing::{Frame, Outcome, Script, Server};
use tower_openai::transport::HyperTransport;
use tower_openai::ws::CloseCode;
use tower_openai::{Client, ErrorKind, RequestBody};

const MODEL: &str = "gpt-realtime";

/// The whole stack, with this key.
fn realtime(
    server: &Server,
    key: &str,
) -> Realtime<impl HttpService<RequestBody, ResponseBody: Send> + Clone + Send + use<>> {
    ServiceBuilder::new()
        .layer(Realtime::layer())
        .layer(ProviderLayer::new(Provider::new("loopback", server.base_url()).unwrap()))
        .layer(RetryLayer::new(RetryPolicy::default()))
        .layer(AuthLayer::new(Bearer::new(key).unwrap()))
        .service(HyperTransport::new().unwrap())
}

async fn connect(server: &Server, request: RealtimeRequest) -> RealtimeConnected {
    soon(realtime(server, "sk-test").send(request)).await.unwrap()
}

async fn soon<T>(future: impl IntoFuture<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it takes too long")
}

/// A session of text.
fn text_session() -> Session {
    Session::new().output_modality(OutputModality::Text)
}

async fn next(events: &mut RealtimeEvents) -> ServerEvent {
    soon(events.next()).await.expect("the events have ended").unwrap()
}

/// The events up to one of this kind.
async fn until(events: &mut RealtimeEvents, kind: &str) -> Vec<ServerEvent> {
    let mut seen = Vec::new();
    loop {
        let event = next(events).await;
        let last = event.kind() == kind;
        assert!(last || event.kind() != "error", "{event:?}");
        seen.push(event);
        if last {
            return seen;
        }
    }
}

fn text(events: &[ServerEvent]) -> String {
    events.iter().filter_map(ServerEvent::output_text_delta).collect()
}

async fn say(writer: &RealtimeWriter, words: &str) {
    soon(writer.send(&ClientEvent::text(words))).await.unwrap();
    soon(writer.send(&ClientEvent::response())).await.unwrap();
}

async fn text_turn(events: &mut RealtimeEvents, writer: &RealtimeWriter) {
    assert!(matches!(next(events).await, ServerEvent::SessionCreated(_)));
    let ServerEvent::SessionUpdated(updated) = next(events).await else { panic!() };
    assert_eq!(updated.session.output_modalities.as_deref(), Some(&[OutputModality::Text][..]));
    say(writer, "hello there").await;
    let answer = until(events, "response.done").await;
    assert!(text(&answer).contains("hello there"), "{answer:?}");
    let unknown: Vec<_> =
        answer.iter().filter(|event| matches!(event, ServerEvent::Unknown(_))).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[tokio::test]
async fn a_text_turn_with_a_driver() {
    let server = Server::start().await.unwrap();
    let request = RealtimeRequest::new(MODEL).session(text_session());
    let (mut events, writer, driver) = connect(&server, request).await.driven();
    let driver = tokio::spawn(driver);
    text_turn(&mut events, &writer).await;
    // The driver ends with the last end of the conversation, and so does the socket.
    drop(events);
    drop(writer);
    soon(driver).await.unwrap().unwrap();
    let seen = &server.requests()[0];
    assert_eq!(soon(seen.closed()).await, Outcome::Complete);
    assert_eq!(seen.header("authorization"), Some("Bearer sk-test"));
    assert!(seen.target().ends_with("/v1/realtime?model=gpt-realtime"), "{}", seen.target());
}

#[tokio::test]
async fn a_text_turn_without_a_driver() {
    let server = Server::start().await.unwrap();
    let request = RealtimeRequest::new(MODEL).session(text_session());
    let (mut events, writer) = connect(&server, request).await.inline();
    text_turn(&mut events, &writer).await;
    // A close of ours ends both ends.
    soon(events.close()).await.unwrap();
    assert!(soon(events.next()).await.is_none());
    assert!(soon(writer.send(&ClientEvent::commit())).await.is_err());
}

#[tokio::test]
async fn a_text_turn_through_the_preset() {
    let server = Server::start().await.unwrap();
    let client = Client::builder().base_url(server.base_url()).api_key("sk-test").build().unwrap();
    let request = RealtimeRequest::new(MODEL).session(text_session());
    let (mut events, writer) = soon(client.realtime().send(request)).await.unwrap().inline();
    text_turn(&mut events, &writer).await;
}

#[tokio::test]
async fn an_audio_turn() {
    let server = Server::start().await.unwrap();
    let session = Session::new()
        .output_modality(OutputModality::Audio)
        .audio_input(AudioInput::default().without_turn_detection());
    let request = RealtimeRequest::new(MODEL).session(session);
    let (mut events, writer, driver) = connect(&server, request).await.driven();
    tokio::spawn(driver);
    // Half a second of a tone.
    let tone: Vec<i16> = (0..12_000).map(|n| if n % 60 < 30 { 8_000 } else { -8_000 }).collect();
    for piece in tone.chunks(2_400) {
        soon(writer.send_samples(piece)).await.unwrap();
    }
    soon(writer.send(&ClientEvent::commit())).await.unwrap();
    soon(writer.send(&ClientEvent::response())).await.unwrap();
    let answer = until(&mut events, "response.done").await;
    let audio: usize =
        answer.iter().filter_map(ServerEvent::output_audio_delta).map(str::len).sum();
    assert!(audio > 1_000, "{audio}");
    assert!(!text(&answer).is_empty());
    assert!(answer.iter().any(|event| event.kind() == "input_audio_buffer.committed"));
}

#[tokio::test]
async fn a_handoff_of_codex_and_its_output() {
    let server = Server::start().await.unwrap();
    let tools = CodexTools::new("Gives work to the agent.", "Says nothing.");
    let session = Session::codex_v2("Be kind.", OutputModality::Text, Voice::Marin, &tools);
    let request =
        RealtimeRequest::new(MODEL).codex(RealtimeConversationVersion::V2).session(session);
    let (mut events, writer, driver) = connect(&server, request).await.driven();
    tokio::spawn(driver);
    let mut interpreter = Interpreter::new(RealtimeConversationVersion::V2);
    say(&writer, "call the background agent").await;
    let handoff = loop {
        if let Some(RealtimeEvent::HandoffRequested(handoff)) =
            interpreter.read(&next(&mut events).await)
        {
            break handoff;
        }
    };
    assert_eq!(handoff.active_transcript.len(), 1);
    until(&mut events, "response.done").await;
    let output = ClientEvent::function_call_output(handoff.handoff_id, "it is done");
    soon(writer.send(&output)).await.unwrap();
    soon(writer.send(&ClientEvent::response())).await.unwrap();
    let answer = until(&mut events, "response.done").await;
    assert!(text(&answer).contains("it is done"), "{answer:?}");
}

#[tokio::test]
async fn a_complaint_leaves_the_conversation_as_it_is() {
    let server = Server::start().await.unwrap();
    let request = RealtimeRequest::new(MODEL).session(text_session());
    let (mut events, writer, driver) = connect(&server, request).await.driven();
    tokio::spawn(driver);
    until(&mut events, "session.updated").await;
    let mut cancel = ClientEvent::cancel();
    let ClientEvent::ResponseCancel(event) = &mut cancel else { unreachable!() };
    event.event_id = Some("mine".into());
    soon(writer.send(&cancel)).await.unwrap();
    let ServerEvent::Error(error) = next(&mut events).await else { panic!() };
    assert_eq!(error.client_event_id().as_deref(), Some("mine"));
    assert!(error.code().is_some() && error.message().is_some());
    say(&writer, "still there?").await;
    assert!(text(&until(&mut events, "response.done").await).contains("still there?"));
}

#[tokio::test]
async fn a_refusal_keeps_status_and_code() {
    let server = Server::builder().require_key("sk-right").start().await.unwrap();
    let error = realtime(&server, "sk-wrong").send(RealtimeRequest::new(MODEL)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    assert_eq!(error.status().map(|status| status.as_u16()), Some(401));
    assert!(!format!("{error} {error:?}").contains("sk-wrong"));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_handshake_that_fails_is_retried_by_the_stack() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::status(503).header("retry-after-ms", "1"));
    let request = RealtimeRequest::new(MODEL).session(text_session());
    let (mut events, writer) = connect(&server, request).await.inline();
    text_turn(&mut events, &writer).await;
    assert_eq!(server.requests().len(), 2);
}

/// Row 67 of the faults.
#[tokio::test]
async fn the_header_of_the_beta_is_refused_with_its_code() {
    let server = Server::start().await.unwrap();
    let request = RealtimeRequest::new(MODEL).header("openai-beta", "realtime=v1");
    let (mut events, _writer) = connect(&server, request).await.inline();
    assert!(matches!(next(&mut events).await, ServerEvent::Error(_)));
    let error = soon(events.next()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), Some("beta_api_shape_disabled"));
    assert_eq!(error.close_code(), Some(CloseCode::new(4000)));
    assert!(soon(events.next()).await.is_none());
}

#[tokio::test]
async fn a_call_is_joined() {
    let server = Server::start().await.unwrap();
    let http = ServiceBuilder::new()
        .layer(ProviderLayer::new(Provider::new("loopback", server.base_url()).unwrap()))
        .service(HyperTransport::new().unwrap());
    let session = Session::new().instructions("Be brief.");
    let mut call = serde_json::to_value(&session).unwrap();
    call["model"] = MODEL.into();
    let offer =
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n";
    let offer = RealtimeCallRequest::new(offer).session(&call);
    let answer = soon(RealtimeCall::new(http).send(offer)).await.unwrap();
    let (mut events, _writer) =
        connect(&server, RealtimeRequest::from(answer.value())).await.inline();
    let ServerEvent::SessionCreated(created) = next(&mut events).await else { panic!() };
    assert_eq!(created.session.instructions.as_deref(), Some("Be brief."));
    let target = server.requests()[1].target().to_owned();
    assert!(
        target.ends_with(&format!("/v1/realtime?call_id={}", answer.value().call_id)),
        "{target}"
    );
}

#[tokio::test]
async fn a_socket_that_broke_is_opened_again_with_session_and_transcript() {
    let server = Server::start().await.unwrap();
    let script = [
        json!({"type": "conversation.item.input_audio_transcription.completed", "transcript": "hi"}),
        json!({"type": "response.output_audio_transcript.done", "transcript": "hello"}),
    ];
    let frames = script.iter().map(|event| Frame::text(event.to_string()));
    server.enqueue(Script::frames(frames).then_close(1011, "oops"));
    let request = RealtimeRequest::new(MODEL).session(text_session().instructions("Be brief."));
    let realtime = realtime(&server, "sk-test");
    let again = RealtimeReconnect::new(realtime.clone(), request.clone());
    let mut interpreter = Interpreter::new(RealtimeConversationVersion::V2);

    let (mut events, _writer) = soon(realtime.send(request)).await.unwrap().inline();
    let error = loop {
        match soon(events.next()).await.unwrap() {
            Ok(event) => drop(interpreter.read(&event)),
            Err(error) => break error,
        }
    };
    assert_eq!(error.close_code(), Some(CloseCode::SERVER_ERROR));
    let opening = again.after(&error, interpreter.transcript()).unwrap();
    let (mut events, writer) = soon(opening).await.unwrap().inline();
    until(&mut events, "conversation.item.done").await;
    until(&mut events, "conversation.item.done").await;
    say(&writer, "again").await;
    assert!(text(&until(&mut events, "response.done").await).contains("again"));
    let said: Vec<Value> = server.requests()[1].messages();
    let said: Vec<_> =
        said.iter().map(|event| (&event["type"], &event["item"]["content"][0]["text"])).collect();
    assert_eq!(said[0].0, "session.update");
    assert_eq!([said[1].1, said[2].1], [&json!("hi"), &json!("hello")]);
}

#[tokio::test]
async fn a_socket_that_breaks_in_the_middle_of_an_answer_is_opened_again() {
    let server = Server::start().await.unwrap();
    let frames = [
        json!({"type": "response.created", "response": {"id": "resp_1"}}),
        json!({"type": "response.output_text.delta", "response_id": "resp_1", "delta": "I was say"}),
    ];
    let frames = frames.iter().map(|event| Frame::text(event.to_string()));
    server.enqueue(Script::frames(frames).then_reset());
    let realtime = realtime(&server, "sk-test");
    let again = RealtimeReconnect::new(
        realtime.clone(),
        RealtimeRequest::new(MODEL).session(text_session()),
    );
    let mut interpreter = Interpreter::new(RealtimeConversationVersion::V2);
    let (mut events, writer, driver) =
        soon(realtime.send(again.request().clone())).await.unwrap().driven();
    tokio::spawn(driver);
    let error = loop {
        match soon(events.next()).await.unwrap() {
            Ok(event) => drop(interpreter.read(&event)),
            Err(error) => break error,
        }
    };
    assert!(error.is_retryable() && soon(events.next()).await.is_none());
    soon(writer.send(&ClientEvent::response())).await.unwrap_err();

    let opening = again.after(&error, interpreter.transcript()).unwrap();
    let (mut events, writer, driver) = soon(opening).await.unwrap().driven();
    tokio::spawn(driver);
    say(&writer, "go on").await;
    assert!(text(&until(&mut events, "response.done").await).contains("go on"));
    let said: Vec<Value> = server.requests()[1].messages();
    assert_eq!(said[1]["item"]["role"], "assistant");
    assert_eq!(said[1]["item"]["content"][0]["text"], "I was say");
}

#[tokio::test]
async fn a_call_that_is_gone_is_joined_once() {
    for status in [404, 410] {
        let server = Server::start().await.unwrap();
        let body = json!({"error": {"code": "call_id_not_found", "message": "No such call."}});
        server.enqueue(Script::status(status).json(body));
        let error = soon(realtime(&server, "sk-test").send(RealtimeRequest::join("rtc_1"))).await;
        let error = error.unwrap_err();
        assert_eq!(error.status().map(|status| status.as_u16()), Some(status));
        assert_eq!(error.code(), Some("call_id_not_found"));
        assert!(!error.is_retryable());
        assert_eq!(server.requests().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn answers_are_asked_for_one_at_a_time() {
    // Whether or not one that was not asked for here crosses the first of them.
    for crossed in [false, true] {
        let server = Server::start().await.unwrap();
        let request = RealtimeRequest::new(MODEL).session(text_session());
        let (mut events, writer, driver) = connect(&server, request).await.driven();
        tokio::spawn(driver);
        until(&mut events, "session.updated").await;
        let mut responses = OneResponse::new();
        if crossed {
            server.enqueue(Script::natural().pace(Duration::from_millis(100)));
            say(&writer, "of somebody else").await;
        }
        for (words, is_sent) in [("first", true), ("second", false), ("third", false)] {
            soon(writer.send(&ClientEvent::text(words))).await.unwrap();
            let event = responses.ask(ResponseCreate::default());
            assert_eq!(event.is_some(), is_sent);
            if let Some(event) = event {
                soon(writer.send(&event)).await.unwrap();
            }
        }
        let (mut answers, mut conflicts) = (0, 0);
        while responses.is_busy() {
            let event = next(&mut events).await;
            if let Some(event) = responses.observe(&event) {
                soon(writer.send(&event)).await.unwrap();
            }
            answers += u32::from(event.kind() == "response.done");
            conflicts += u32::from(event.kind() == "error");
        }
        assert_eq!((answers, conflicts), (2, u32::from(crossed)));
    }
}

#[tokio::test]
async fn what_was_not_heard_of_an_answer_is_cut() {
    let server = Server::start().await.unwrap();
    let request =
        RealtimeRequest::new(MODEL).session(Session::new().output_modality(OutputModality::Audio));
    let (mut events, writer, driver) = connect(&server, request).await.driven();
    tokio::spawn(driver);
    until(&mut events, "session.updated").await;
    say(&writer, "tell me a story").await;
    let speech = r#"{"type":"input_audio_buffer.speech_started"}"#;
    let speech: ServerEvent = serde_json::from_str(speech).unwrap();
    let answer = until(&mut events, "response.done").await;
    // All that has come is no more than there is; the server refuses what is.
    for heard in [None, Some(10)] {
        let mut barge_in = BargeIn::new();
        assert!(answer.iter().all(|event| barge_in.observe(event).is_none()));
        heard.into_iter().for_each(|ms| barge_in.heard(ms));
        soon(writer.send(&barge_in.observe(&speech).unwrap())).await.unwrap();
        let cut = until(&mut events, "conversation.item.truncated").await;
        let ServerEvent::ConversationItemTruncated(cut) = &cut[0] else { panic!("{cut:?}") };
        assert!(cut.audio_end_ms > Some(0) && heard.is_none_or(|_| cut.audio_end_ms == heard));
    }
}

#[tokio::test]
async fn a_conversation_that_the_server_leaves_ends_with_an_error_that_says_why() {
    let server = Server::start().await.unwrap();
    let realtime = realtime(&server, "Zx9-planted-key");
    let again = RealtimeReconnect::new(realtime.clone(), RealtimeRequest::new(MODEL));
    for (code, reopens) in [(1000, false), (1001, true), (1005, true), (1011, true), (4000, false)]
    {
        server.enqueue(match code {
            // A close frame without a code.
            1005 => Script::frames([Frame::raw([0x88, 0].as_slice())]),
            _ => Script::handshake().then_close(code, "not with Zx9-planted-key"),
        });
        let opening = realtime.send(RealtimeRequest::new(MODEL));
        let (mut events, writer, driver) = soon(opening).await.unwrap().driven();
        let driver = tokio::spawn(driver);
        let error = soon(events.next()).await.map(Result::unwrap_err);
        if code == 1000 {
            assert!(error.is_none(), "{error:?}");
            continue;
        }
        let error = error.unwrap();
        assert_eq!(error.close_code(), Some(CloseCode::new(code)));
        let opens = again.after(&error, &Transcript::default()).is_some();
        assert_eq!(opens, reopens, "{code}");
        assert!(soon(events.next()).await.is_none());
        // The server quotes the key: nobody shows it.
        let said = soon(writer.send(&ClientEvent::response())).await.unwrap_err();
        let driven = soon(driver).await.unwrap();
        for error in [Err(error), Err(said), driven] {
            let shown = format!("{error:?} {error:?}");
            assert!(!shown.contains("planted"), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_slow_reader_stops_the_server() {
    let server = Server::start().await.unwrap();
    let flood = "flood ".repeat(60_000);
    let request = RealtimeRequest::new(MODEL).session(text_session());
    let (mut events, writer, driver) = connect(&server, request).await.driven();
    tokio::spawn(driver);
    until(&mut events, "session.updated").await;
    server.enqueue(Script::natural().text(flood.as_str()));
    say(&writer, "go").await;
    // Nobody reads. What the server has written does not grow beyond queue and buffers of the system.
    let seen = &server.requests()[0];
    let mut before = 0;
    let written = loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        match seen.bytes_written() {
            now if now == before && now > 0 => break now,
            now => before = now,
        }
    };
    let answer = until(&mut events, "response.done").await;
    assert_eq!(text(&answer).len(), flood.len());
    assert!(seen.bytes_written() > written, "{written}: it had room for all of it");
}

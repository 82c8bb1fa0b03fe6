//! What the tests of this binary share: a response of 40 events, and a server that cuts its stream.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame};
use serde_json::{Value, json};
use tower::{Service, service_fn};
use tower_openai::layers::{Resume, ResumePolicy};
use tower_openai::model::ResponseEvent;
use tower_openai::services::{Responses, ResponsesRequest, RetrieveStream};
use tower_openai::sse::{EventSource, ResponseStream};
use tower_openai::{BoxError, Error, RequestBody};

/// How many events the response has.
pub(crate) const EVENTS: usize = 40;

/// The words of its answer.
pub(crate) const WORDS: usize = EVENTS - 9;

/// The events of a response in the background, numbered from 0.
pub(crate) fn events() -> Vec<Value> {
    let response = |status: &str| json!({"id": "resp_1", "status": status, "output": []});
    let text: String = (0..WORDS).map(|n| format!("w{n} ")).collect();
    let part = json!({"type": "output_text", "text": text, "annotations": []});
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant",
        "status": "completed", "content": [part]});
    let empty = json!({"id": "msg_1", "type": "message", "role": "assistant",
        "status": "in_progress", "content": []});
    let mut events = vec![
        json!({"type": "response.created", "response": response("queued")}),
        json!({"type": "response.queued", "response": response("queued")}),
        json!({"type": "response.in_progress", "response": response("in_progress")}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": empty}),
        json!({"type": "response.content_part.added", "item_id": "msg_1", "output_index": 0,
            "content_index": 0, "part": {"type": "output_text", "text": "", "annotations": []}}),
    ];
    events.extend((0..WORDS).map(|n| {
        json!({"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0,
            "content_index": 0, "delta": format!("w{n} "), "logprobs": []})
    }));
    events.extend([
        json!({"type": "response.output_text.done", "item_id": "msg_1", "output_index": 0,
            "content_index": 0, "text": text, "logprobs": []}),
        json!({"type": "response.content_part.done", "item_id": "msg_1", "output_index": 0,
            "content_index": 0, "part": part}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": message}),
        json!({"type": "response.completed", "response": {"id": "resp_1", "status": "completed",
            "output": [message],
            "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}}}),
    ]);
    assert_eq!(events.len(), EVENTS);
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = number.into();
    }
    events
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cut {
    /// The body ends as if it were whole.
    Clean,
    /// The connection is reset.
    Reset,
    /// Nothing comes any more.
    Stall,
}

pub(crate) const CUTS: [Cut; 3] = [Cut::Clean, Cut::Reset, Cut::Stall];

/// What the server does with one connection.
#[derive(Clone, Debug)]
pub(crate) enum Play {
    /// Events from here to there, then the cut.
    Cut(usize, usize, Cut),
    /// The rest of the events.
    From(usize),
    /// These events; a string is data that is no JSON.
    Events(Vec<Value>, Cut),
    /// This, to the byte.
    Text(String, Cut),
    /// A refusal.
    Status(u16, &'static str, &'static str),
    /// No head comes.
    Mute,
    /// No connection can be made.
    Refuse,
}

/// What the server was sent, by method and target, and with which headers.
pub(crate) type Log = Arc<Mutex<Vec<Request<RequestBody>>>>;

/// Events as they come, each in a chunk of its own.
pub(crate) struct Played {
    chunks: VecDeque<Bytes>,
    cut: Cut,
}

impl Body for Played {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match (self.chunks.pop_front(), self.cut) {
            (Some(chunk), _) => Poll::Ready(Some(Ok(Frame::data(chunk)))),
            (None, Cut::Clean) => Poll::Ready(None),
            (None, Cut::Reset) => {
                let reset = io::Error::from(io::ErrorKind::ConnectionReset);
                Poll::Ready(Some(Err(reset.into())))
            }
            (None, Cut::Stall) => Poll::Pending,
        }
    }
}

pub(crate) fn played(events: &[Value], cut: Cut) -> Played {
    let data = |event: &Value| match event {
        Value::String(text) => format!("data: {text}\n\n").into(),
        event => format!("data: {event}\n\n").into(),
    };
    Played { chunks: events.iter().map(data).collect(), cut }
}

impl Play {
    async fn answer(self) -> Result<Response<Played>, BoxError> {
        let all = events();
        Ok(match self {
            Self::Cut(from, to, cut) => Response::new(played(&all[from..to], cut)),
            Self::From(from) => Response::new(played(&all[from..], Cut::Clean)),
            Self::Events(events, cut) => Response::new(played(&events, cut)),
            Self::Text(text, cut) => {
                Response::new(Played { chunks: [Bytes::from(text)].into(), cut })
            }
            Self::Status(status, header, value) => {
                let mut response = Response::builder().status(status);
                if !header.is_empty() {
                    response = response.header(header, value);
                }
                response.body(played(&[], Cut::Clean)).unwrap()
            }
            Self::Mute => std::future::pending().await,
            Self::Refuse => return Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
        })
    }
}

/// An HTTP service that does this with one connection after the other.
pub(crate) fn server(
    plays: impl IntoIterator<Item = Play>,
) -> (
    impl Service<Request<RequestBody>, Response = Response<Played>, Error = BoxError, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static,
    Log,
) {
    let plays = Arc::new(Mutex::new(plays.into_iter().collect::<VecDeque<_>>()));
    let log = Log::default();
    let note = Arc::clone(&log);
    let service = service_fn(move |request: Request<RequestBody>| {
        let play = plays.lock().unwrap().pop_front().expect("no more connections");
        note.lock().unwrap().push(request);
        play.answer()
    });
    (service, log)
}

/// The targets of the requests that were sent.
pub(crate) fn targets(log: &Log) -> Vec<String> {
    let log = log.lock().unwrap();
    let first = log.first().expect("a request");
    assert_eq!((first.method(), first.uri().path()), (&Method::POST, "/responses"));
    log.iter().skip(1).map(|request| format!("{} {}", request.method(), request.uri())).collect()
}

/// What is sent to go on behind an event.
pub(crate) fn retrieval(after: usize) -> String {
    format!("GET /responses/resp_1?stream=true&starting_after={after}")
}

/// The endpoint over an HTTP service, resuming.
pub(crate) fn resuming<H: Clone>(
    http: H,
    policy: ResumePolicy,
) -> Resume<Responses<H>, RetrieveStream<H>> {
    Resume::new(Responses::new(http.clone()), RetrieveStream::new(http)).policy(policy)
}

pub(crate) fn request() -> ResponsesRequest {
    ResponsesRequest::new("m", "hi").background(true)
}

/// The events of a response that nothing cuts.
pub(crate) fn whole() -> Vec<ResponseEvent> {
    events().into_iter().map(|event| serde_json::from_value(event).unwrap()).collect()
}

/// What a reader has of a stream.
pub(crate) async fn read<Src: EventSource>(
    mut stream: ResponseStream<Src>,
) -> (Vec<ResponseEvent>, Option<Error>)
where
    ResponseStream<Src>: Unpin,
{
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => events.push(event),
            Err(error) => {
                assert!(stream.next().await.is_none(), "nothing follows an error");
                return (events, Some(error));
            }
        }
    }
    (events, None)
}

//! What a stream hands out as typed events is what each event is when it is read by itself, whatever
//! the chunks; and it ends in the same way.

#![no_main]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame};
use libfuzzer_sys::fuzz_target;
use tower_openai::ErrorKind;
use tower_openai::model::ResponseEvent;
use tower_openai::sse::{ResponseStream, StreamSettings};

struct Chunks(VecDeque<Bytes>);

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }
}

fn stream(chunks: VecDeque<Bytes>) -> ResponseStream<tower_openai::sse::SseSource<Chunks>> {
    let settings = StreamSettings::default();
    ResponseStream::from_response(http::Response::new(Chunks(chunks)), settings)
}

/// Runs what never waits.
fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
}

fn typed(chunks: VecDeque<Bytes>) -> (Vec<ResponseEvent>, Option<ErrorKind>) {
    let mut stream = stream(chunks);
    let mut events = Vec::new();
    loop {
        match run(stream.try_next()) {
            Ok(Some(event)) => events.push(event),
            Ok(None) => return (events, None),
            Err(error) => return (events, Some(error.kind())),
        }
    }
}

/// The events of the wire as they are when each is read by itself; the last may be a failure, or no
/// event of the API.
fn raw(chunks: VecDeque<Bytes>) -> (Vec<Option<ResponseEvent>>, Option<ErrorKind>) {
    let mut stream = stream(chunks).into_raw();
    let mut events = Vec::new();
    loop {
        match run(stream.try_next()) {
            Ok(Some(event)) => events.push(event.parse().ok()),
            Ok(None) => return (events, None),
            Err(error) => return (events, Some(error.kind())),
        }
    }
}

/// Whether a typed stream tells this beside the events of the wire.
fn is_synthesised(event: &ResponseEvent) -> bool {
    matches!(
        event,
        ResponseEvent::ServerModel(_)
            | ResponseEvent::RateLimits(_)
            | ResponseEvent::ModelVerifications(_)
            | ResponseEvent::TurnModerationMetadata(_)
            | ResponseEvent::SafetyBuffering(_)
    )
}

fuzz_target!(|input: (Vec<Vec<u8>>, bool)| {
    // As data of events, or as it stands.
    let (parts, framed) = input;
    let chunks: VecDeque<Bytes> = match framed {
        true => parts.iter().map(|part| [b"data: ", &**part, b"\n\n"].concat().into()).collect(),
        false => parts.iter().map(|part| part.clone().into()).collect(),
    };
    let whole: Bytes = chunks.iter().flatten().copied().collect::<Vec<u8>>().into();

    let (mut events, end) = typed(chunks.clone());
    assert_eq!((&events, end), (&typed([whole].into()).0, end), "in one chunk");

    let (mut singly, raw_end) = raw(chunks);
    assert_eq!(end, raw_end);
    events.retain(|event| !is_synthesised(event));
    assert!(singly.len() <= events.len() + usize::from(end.is_some()));
    singly.truncate(events.len());
    assert_eq!(events.into_iter().map(Some).collect::<Vec<_>>(), singly, "one by one");
});

//! One connection after another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::{Instant, sleep};
use tower::{Service, ServiceExt, service_fn};
use tower_openai::client::BoxHttpService;
use tower_openai::services::{
    Inline, Reconnecting, ResponsesConnection, ResponsesRequest, ResponsesSocket,
    ResponsesSocketRequest, SocketSource, TurnState,
};
use tower_openai::sse::ResponseStream;
use tower_openai::testing::{Frame, Script, Server};
use tower_openai::ws::Driver;
use tower_openai::{Error, ErrorKind, Stage};

use crate::support::*;

fn reconnecting(server: &Server) -> Reconnecting<ResponsesSocket<BoxHttpService, Inline>> {
    client(server).responses_socket().reconnecting(ResponsesSocketRequest::new())
}

/// A service of turns on a socket.
trait Turns: Service<ResponsesRequest, Response = ResponseStream<SocketSource>, Error = Error> {}

impl<S> Turns for S where
    S: Service<ResponsesRequest, Response = ResponseStream<SocketSource>, Error = Error>
{
}

async fn turn<M>(responses: &Reconnecting<M>, words: &str)
where
    Reconnecting<M>: Clone + Turns,
{
    let stream = soon(responses.clone().oneshot(request(words))).await.unwrap();
    assert!(text(stream).await.unwrap().contains(words));
}

#[tokio::test]
async fn all_turns_share_a_connection() {
    let server = Server::start().await.unwrap();
    let responses = reconnecting(&server);
    assert!(responses.connection().is_none(), "opened when it is needed");
    let turns = (0..10).map(|n| {
        let lane = responses.lane(format!("lane{n}")).unwrap();
        async move { turn(&lane, &format!("question {n}")).await }
    });
    join_all(turns).await;
    turn(&responses, "again").await;
    assert_eq!(server.requests().len(), 1);
    assert!(responses.connection().is_some_and(|connection| connection.is_open()));
}

#[tokio::test]
async fn a_reused_socket_closed_between_turns_is_noticed_and_the_request_dialled_anew_exactly_once()
{
    let close = || Script::natural().then_close(1001, "restart");
    for (script, is_driven) in [
        (close(), false),
        (close(), true),
        (Script::natural().then_reset(), false),
        (Script::natural().then_reset(), true),
    ] {
        let server = Server::start().await.unwrap();
        server.enqueue(script.clone());
        let said = format!("{script:?}, driven: {is_driven}");
        if is_driven {
            let connect = client(&server).responses_socket().map_response(spawned);
            let responses = Reconnecting::new(connect, ResponsesSocketRequest::new());
            closed_between_turns(&server, &responses).await;
        } else {
            closed_between_turns(&server, &reconnecting(&server)).await;
        }
        let requests = server.requests();
        let sent: Vec<_> = requests.iter().map(|seen| seen.messages().len()).collect();
        assert_eq!(sent, [1, 1], "{said}");
    }
}

fn spawned((connection, driver): (ResponsesConnection, Driver)) -> ResponsesConnection {
    tokio::spawn(driver);
    connection
}

/// Two turns; the server ends the connection behind the first.
async fn closed_between_turns<M>(server: &Server, responses: &Reconnecting<M>)
where
    Reconnecting<M>: Clone + Turns,
{
    turn(responses, "one").await;
    // What the server has said is on its way at least; nobody asks the connection before the turn.
    let first = server.requests().remove(0);
    soon(first.closed()).await;
    turn(responses, "two").await;
}

#[tokio::test]
async fn a_connection_that_is_too_old_for_the_server_is_replaced_and_the_request_sent_again() {
    let server = Server::start().await.unwrap();
    let limit = json!({"type": "error", "error": {"code": "websocket_connection_limit_reached", "message": "old"}});
    server.enqueue(Script::frames([Frame::wait_for(1), limit.into()]));
    let responses = reconnecting(&server);
    turn(&responses, "hello").await;
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].messages(), requests[1].messages());
}

#[tokio::test]
async fn no_request_is_sent_again_if_it_is_unclear_whose_was_refused() {
    let server = Server::start().await.unwrap();
    let limit = json!({"type": "error", "error": {"code": "websocket_connection_limit_reached", "message": "old"}});
    server.enqueue(Script::frames([Frame::wait_for(2), limit.into()]));
    let responses = reconnecting(&server);
    let asked = ["a", "b"].map(|name| responses.lane(name).unwrap().stream_request(request(name)));
    for result in soon(join_all(asked)).await {
        let error = result.unwrap_err();
        assert_eq!((error.kind(), error.stage()), (ErrorKind::ConnectionExpired, Stage::Unknown));
    }
    assert_eq!(server.requests().len(), 1);
    turn(&responses, "next").await;
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_connection_share_the_failure_to_open_it() {
    let tries = Arc::new(AtomicUsize::new(0));
    let connect = {
        let tries = Arc::clone(&tries);
        service_fn(move |_: ResponsesSocketRequest| {
            tries.fetch_add(1, Ordering::Relaxed);
            async {
                sleep(Duration::from_secs(10)).await;
                let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
                Err::<ResponsesConnection, _>(refused)
            }
        })
    };
    let responses = Reconnecting::new(connect, ResponsesSocketRequest::new());
    // Each round is new: what has failed before is tried again.
    for round in 1..=2 {
        let began = Instant::now();
        let asked = (0..20).map(|_| responses.stream_request(request("hello")));
        for result in join_all(asked).await {
            assert_eq!(result.unwrap_err().stage(), Stage::NotSent);
        }
        assert_eq!(began.elapsed(), Duration::from_secs(10));
        assert_eq!(tries.load(Ordering::Relaxed), round);
    }
}

#[tokio::test]
async fn a_server_whose_sockets_are_always_too_old_is_not_asked_for_ever() {
    let server = Server::start().await.unwrap();
    let limit = || json!({"type": "error", "error": {"code": "websocket_connection_limit_reached", "message": "old"}});
    for _ in 0..3 {
        server.enqueue(Script::frames([Frame::wait_for(1), limit().into()]));
    }
    let responses = reconnecting(&server);
    let error = soon(responses.stream_request(request("hello"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionExpired);
    assert!(error.is_retryable());
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn what_may_have_been_sent_is_not_sent_again() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::natural().cut_after(0).then_close(1011, ""));
    let responses = reconnecting(&server);
    let error = soon(responses.stream_request(request("hello"))).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Closed, Stage::Unknown));
    assert_eq!(server.requests().len(), 1);
    turn(&responses, "next").await;
}

#[tokio::test]
async fn a_refused_handshake_is_the_error_of_its_request_and_the_next_one_tries_again() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::status(403));
    let responses = reconnecting(&server);
    let error = responses.stream_request(request("hello")).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Permission, Stage::NotSent));
    turn(&responses, "hello").await;
}

#[tokio::test]
async fn who_gives_up_hands_the_turn_to_connect_over() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::handshake().head_delay(Duration::from_secs(3600)));
    let responses = reconnecting(&server);
    let first = tokio::spawn(responses.stream_request(request("first")).into_future());
    soon(server.wait_for_requests(1)).await;
    let second = tokio::spawn({
        let responses = responses.clone();
        async move { turn(&responses, "second").await }
    });
    tokio::task::yield_now().await;
    first.abort();
    soon(second).await.unwrap();
}

#[tokio::test]
async fn a_driven_connection_reconnects_as_well() {
    let server = Server::start().await.unwrap();
    let connect = client(&server).responses_socket().map_response(spawned);
    let responses = Reconnecting::new(connect, ResponsesSocketRequest::new());
    turn(&responses, "one").await;
    responses.connection().unwrap().retire();
    turn(&responses, "two").await;
    assert_eq!(server.requests().len(), 2);
}

/// As tower's own does it, too.
#[tokio::test]
async fn towers_reconnect_works_on_it() {
    use tower::reconnect::Reconnect;

    let server = Server::start().await.unwrap();
    let socket = client(&server).responses_socket().inline();
    // It wants to move the future.
    let socket = tower::util::BoxService::new(socket);
    let mut responses = Reconnect::new(socket, ResponsesSocketRequest::new());
    server.enqueue(Script::natural().then_close(1001, "restart"));
    let call = responses.ready().await.unwrap().call(request("one"));
    assert!(text(soon(call).await.unwrap()).await.unwrap().contains("one"));
    let reconnected = async {
        while server.requests().len() == 1 {
            responses.ready().await.unwrap();
            sleep(Duration::from_millis(5)).await;
        }
    };
    soon(reconnected).await;
    let call = responses.ready().await.unwrap().call(request("two"));
    assert!(text(soon(call).await.unwrap()).await.unwrap().contains("two"));
}

#[tokio::test]
async fn the_turn_of_the_request_goes_with_the_handshake_that_it_needs() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::handshake().header("x-codex-turn-state", "one"));
    let responses = reconnecting(&server);
    let turn_state = TurnState::new();
    let asked = || request("hello").turn_state(turn_state.clone());
    text(responses.stream_request(asked()).await.unwrap()).await.unwrap();
    assert_eq!(turn_state.get(), Some("one"));
    responses.connection().unwrap().retire();
    text(responses.stream_request(asked()).await.unwrap()).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests[0].header("x-codex-turn-state"), None);
    assert_eq!(requests[1].header("x-codex-turn-state"), Some("one"));
    // Another turn does not have it.
    responses.connection().unwrap().retire();
    let other = request("hello").turn_state(TurnState::new());
    text(responses.stream_request(other).await.unwrap()).await.unwrap();
    assert_eq!(server.requests()[2].header("x-codex-turn-state"), None);
}

//! Turns on one connection.

use std::time::Duration;

use futures_util::future::join_all;
use tower_openai::services::{ResponsesSocketRequest, ResponsesSocketSettings};
use tower_openai::testing::{Frame, Outcome, Script, Server};
use tower_openai::{ErrorKind, Stage};

use crate::support::*;

#[tokio::test]
async fn lanes_answer_side_by_side_and_more_than_sixteen_wait() {
    let server = Server::start().await.unwrap();
    let connection = connect(&server).await;
    let turns = (0..24).map(|n| {
        let lane = connection.lane(format!("lane-{n}")).unwrap();
        async move {
            let words = format!("question {n}");
            let stream = lane.stream_request(request(&words)).await.unwrap();
            assert!(text(stream).await.unwrap().contains(&words));
        }
    });
    soon(join_all(turns)).await;
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_conversation_is_continued_from_the_servers_memory() {
    let server = Server::start().await.unwrap();
    let settings = ResponsesSocketSettings::new().incremental(true);
    let socket = client(&server).responses_socket().settings(settings);
    let connection = socket.connect_inline(ResponsesSocketRequest::new()).await.unwrap();
    let mut conversation = request("one").store(false);
    for turn in ["two", "three", "four"] {
        let stream = connection.stream_request(conversation.clone()).await.unwrap();
        let response = stream.final_response().await.unwrap();
        conversation = conversation.extend(response.output).push(turn);
    }
    let sent = server.requests().remove(0).messages();
    assert_eq!(sent.len(), 3);
    assert_eq!(sent[0].get("previous_response_id"), None);
    for message in &sent[1..] {
        assert!(message["previous_response_id"].is_string());
        assert_eq!(message["input"].as_array().unwrap().len(), 1, "{message}");
    }
    // Another connection knows nothing of it, and gets all of it.
    let other = socket.connect_inline(ResponsesSocketRequest::new()).await.unwrap();
    let stream = other.stream_request(conversation.clone()).await.unwrap();
    stream.final_response().await.unwrap();
    let sent = server.requests().remove(1).messages();
    assert_eq!(sent[0]["input"].as_array().unwrap().len(), 7);
}

#[tokio::test]
async fn a_chain_that_the_server_has_lost_is_an_error_with_a_name() {
    let server = Server::start().await.unwrap();
    let connection = connect(&server).await;
    let lost = request("on").store(false).previous_response_id("resp_gone");
    let error = connection.stream_request(lost).await.unwrap_err();
    assert_eq!((error.kind(), error.stage()), (ErrorKind::ChainLost, Stage::Sent));
    assert!(text(connection.stream_request(request("hello")).await.unwrap()).await.is_ok());
}

#[tokio::test]
async fn drop_mid_response_then_reuse() {
    let server = Server::start().await.unwrap();
    let connection = connect(&server).await;
    server.enqueue(Script::natural().text("old ".repeat(2000)));
    let mut stream = connection.stream_request(request("old")).await.unwrap();
    for _ in 0..5 {
        stream.try_next().await.unwrap().unwrap();
    }
    drop(stream);
    let stream = soon(connection.stream_request(request("new"))).await.unwrap();
    let answer = text(stream).await.unwrap();
    assert!(answer.contains("new") && !answer.contains("old"), "{answer}");
}

#[tokio::test]
async fn close_mid_response() {
    let server = Server::start().await.unwrap();
    for (script, kind) in [
        (Script::natural().cut_after(3).then_close(1011, "failed"), ErrorKind::Closed),
        (Script::natural().cut_after(3).then_close(1000, ""), ErrorKind::Closed),
        (Script::natural().cut_after(3).then_reset(), ErrorKind::Transport),
    ] {
        let connection = connect(&server).await;
        server.enqueue(script);
        let mut stream = connection.stream_request(request("hello")).await.unwrap();
        let mut events = 0;
        let error = loop {
            match soon(stream.try_next()).await {
                Ok(event) => events += usize::from(event.is_some()),
                Err(error) => break error,
            }
        };
        assert_eq!((error.kind(), error.stage()), (kind, Stage::Streaming), "{error:?}");
        assert!(events >= 3 && error.close_code().is_some(), "{error:?}");
        assert!(!connection.is_open());
    }
}

#[tokio::test]
async fn a_binary_message_is_a_typed_error() {
    let server = Server::start().await.unwrap();
    server.enqueue(Script::frames([Frame::wait_for(1), Frame::binary(&b"\x00"[..])]));
    let connection = connect(&server).await;
    let error = soon(connection.stream_request(request("hello"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(!connection.is_open());
}

#[tokio::test]
async fn two_hundred_sockets_with_one_turn_each_leave_nothing_running() {
    let server = Server::start().await.unwrap();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let socket = client(&server).responses_socket();
    let turns = (0..200).map(|n| {
        let socket = socket.clone();
        async move {
            let (connection, driver) = socket.connect(ResponsesSocketRequest::new()).await.unwrap();
            let driver = tokio::spawn(driver);
            let words = format!("question {n}");
            let stream = connection.stream_request(request(&words)).await.unwrap();
            assert!(text(stream).await.unwrap().contains(&words));
            drop(connection);
            driver.await.unwrap().unwrap();
        }
    });
    soon(join_all(turns)).await;
    for seen in server.requests() {
        assert_eq!(soon(seen.closed()).await, Outcome::Complete);
    }
    soon(async {
        while tasks() > before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

//! Requests that go on from what the server has.

use super::*;

/// What is sent for `next`, after a request that was answered.
async fn sent_after(
    connection: &ResponsesConnection,
    peer: &mut Peer,
    next: ResponsesRequest,
    id: &str,
) -> (Value, Response) {
    let (stream, sent) = ask(connection, next, async || {
        let sent = peer.receive().await;
        peer.answer(id, "Hi", None).await;
        sent
    })
    .await;
    (sent, stream.unwrap().final_response().await.unwrap())
}

fn said(response: &Response) -> Vec<ResponseItem> {
    response.output.clone()
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_goes_on_sends_what_is_new() {
    let settings = ResponsesSocketSettings::new().incremental(true);
    let (connection, mut peer) = inline_with(settings, bare()).await;
    let (sent, first) = sent_after(&connection, &mut peer, request(), "resp_1").await;
    assert_eq!(
        (sent.get("previous_response_id"), sent["input"].as_array().unwrap().len()),
        (None, 1)
    );

    let next = request().extend(said(&first)).push("and then?").client_metadata([("k", "v")]);
    let (sent, second) = sent_after(&connection, &mut peer, next.clone(), "resp_2").await;
    assert_eq!(sent["previous_response_id"], "resp_1");
    let input = sent["input"].as_array().unwrap();
    assert_eq!(input.len(), 1);
    assert_eq!(input[0]["content"][0]["text"], "and then?");
    assert_eq!(sent["client_metadata"], json!({"k": "v"}));

    // Anything else, and all is sent.
    let more = next.extend(said(&second)).push("more");
    let changed = more.clone().instructions("changed");
    let (sent, third) = sent_after(&connection, &mut peer, changed.clone(), "resp_3").await;
    assert_eq!(
        (sent.get("previous_response_id"), sent["input"].as_array().unwrap().len()),
        (None, 5)
    );
    let rewritten =
        ResponsesRequest::new("gpt-5.2", "another").instructions("changed").extend(said(&third));
    let (sent, _) = sent_after(&connection, &mut peer, rewritten, "resp_4").await;
    assert_eq!(
        (sent.get("previous_response_id"), sent["input"].as_array().unwrap().len()),
        (None, 2)
    );
    // What names its predecessor is sent as it is.
    let own = request().previous_response_id("mine");
    let (sent, _) = sent_after(&connection, &mut peer, own, "resp_5").await;
    assert_eq!(sent["previous_response_id"], "mine");
    // And by itself nothing is continued.
    let (plain, mut peer) = inline().await;
    let (_, first) = sent_after(&plain, &mut peer, request(), "resp_1").await;
    let (sent, _) = sent_after(&plain, &mut peer, request().extend(said(&first)), "resp_2").await;
    assert_eq!(sent.get("previous_response_id"), None);
}

#[tokio::test(start_paused = true)]
async fn a_warm_up_is_continued_by_the_same_request() {
    let settings = ResponsesSocketSettings::new().incremental(true);
    let (connection, mut peer) = inline_with(settings, bare()).await;
    let (warm, sent) = tokio::join!(connection.warm_up(request()), async {
        let sent = peer.receive().await;
        peer.event(json!({"type": "response.created", "response": {"id": "warm"}})).await;
        peer.event(json!({"type": "response.completed", "response": {"id": "warm"}})).await;
        sent
    });
    assert_eq!(&*warm.unwrap().id, "warm");
    assert_eq!(sent["generate"], false);
    let (sent, _) = sent_after(&connection, &mut peer, request(), "resp_1").await;
    assert_eq!((sent.get("generate"), &sent["previous_response_id"]), (None, &json!("warm")));
    assert_eq!(sent["input"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_lost_chain_is_sent_whole_once_and_the_reader_hears_nothing_of_it() {
    let settings = ResponsesSocketSettings::new().incremental(true);
    let (connection, mut peer) = inline_with(settings, bare()).await;
    let lost = json!({"type": "error", "status": 400, "error": {"code": "previous_response_not_found", "message": "gone"}});
    let (_, first) = sent_after(&connection, &mut peer, request(), "resp_1").await;
    let next = request().extend(said(&first)).push("and then?");
    let (stream, whole) = ask(&connection, next, async || {
        assert_eq!(peer.receive().await["previous_response_id"], "resp_1");
        peer.event(lost.clone()).await;
        let whole = peer.receive().await;
        peer.answer("resp_2", "Hi", None).await;
        whole
    })
    .await;
    assert_eq!(
        (whole.get("previous_response_id"), whole["input"].as_array().unwrap().len()),
        (None, 3)
    );
    let second = stream.unwrap().final_response().await.unwrap();
    assert_eq!(&*second.id, "resp_2");
    // The chain goes on from there; an error ends it.
    let next = request().extend(said(&first)).push("and then?").extend(said(&second)).push("more");
    let (refused, sent) = ask(&connection, next.clone(), async || {
        let sent = peer.receive().await;
        peer.event(json!({"type": "error", "status": 500, "error": {"message": "m"}})).await;
        sent
    })
    .await;
    assert_eq!(sent["previous_response_id"], "resp_2");
    refused.unwrap_err();
    let (sent, _) = sent_after(&connection, &mut peer, next, "resp_3").await;
    assert_eq!(sent.get("previous_response_id"), None);
    // One that the caller named is the caller's to mend.
    let named = request().previous_response_id("mine");
    let (refused, _) = ask(&connection, named, async || {
        let sent = peer.receive().await;
        peer.event(lost.clone()).await;
        sent
    })
    .await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ChainLost);
}

#[tokio::test(start_paused = true)]
async fn a_steered_response_is_followed_to_the_one_that_takes_its_place() {
    let (connection, mut peer) = inline().await;
    let (stream, _) = ask(&connection, request(), async || {
        let sent = peer.receive().await;
        peer.event(answer("r1", "x")[0].clone()).await;
        sent
    })
    .await;
    let mut stream = stream.unwrap();
    stream.try_next().await.unwrap();
    let (word, sent) = tokio::join!(connection.steer("r1", "shorter, please"), async {
        let sent = peer.receive().await;
        peer.event(json!({"type": "response.steer.accepted", "sequence_number": 1,
            "steer": {"id": "s1", "previous_response_id": "r1"}}))
            .await;
        peer.event(json!({"type": "response.incomplete", "response": {"id": "r1",
            "incomplete_details": {"reason": "steered"}}}))
            .await;
        peer.answer("r2", "Hi", None).await;
        sent
    });
    assert_eq!(word.unwrap().id, "s1");
    assert_eq!(
        (&sent["type"], &sent["previous_response_id"]),
        (&json!("response.steer"), &json!("r1"))
    );
    assert_eq!(sent["input"][0]["content"][0]["text"], "shorter, please");
    let response = stream.final_response().await.unwrap();
    assert_eq!((&*response.id, response.output_text().as_str()), ("r2", "Hi"));
    let refused = connection.steer("r2", "too late");
    let (word, _) = tokio::join!(refused, async {
        peer.receive().await;
        peer.event(json!({"type": "response.steer.failed", "steer": {"previous_response_id": "r2", "input": "x"},
            "error": {"type": "invalid_request_error", "code": "response_finished", "message": "over"}}))
            .await;
    });
    assert_eq!(word.unwrap_err().code(), Some("response_finished"));
}

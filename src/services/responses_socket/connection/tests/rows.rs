//! Examples of error frames that are events of the API, with what a reader gets of them. The other rows
//! are among the tests of lanes.

use super::*;

/// The error of a request that this frame answers; the connection must stay.
async fn error_of(frame: Value, behind: &[Value]) -> Error {
    let (connection, mut peer) = inline().await;
    let (stream, _) = ask(&connection, request(), async || {
        let sent = peer.receive().await;
        for event in behind {
            peer.event(event.clone()).await;
        }
        peer.event(frame.clone()).await;
        sent
    })
    .await;
    let error = stream.unwrap().final_response().await.unwrap_err();
    assert!(connection.is_open(), "{error:?}");
    let (stream, _) = ask(&connection, request(), async || {
        let sent = peer.receive().await;
        peer.answer("next", "Hi", None).await;
        sent
    })
    .await;
    assert_eq!(text(stream.unwrap()).await, "Hi");
    error
}

#[tokio::test(start_paused = true)]
async fn a9_an_error_that_says_nothing() {
    for behind in [&[][..], &answer("r", "x")[..2]] {
        let error = error_of(json!({"type": "error"}), behind).await;
        assert_eq!((error.kind(), error.code()), (ErrorKind::Server, None), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a9_an_error_with_the_status_of_a_success() {
    let frame = json!({"type": "error", "status": 200, "error": {"message": "x"}});
    for behind in [&[][..], &answer("r", "x")[..2]] {
        let error = error_of(frame.clone(), behind).await;
        assert_eq!((error.kind(), error.message()), (ErrorKind::Server, "x"), "{error:?}");
        assert_eq!(error.status(), None);
    }
}

//! How long a token is kept, on a paused clock.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, advance, timeout};
use tower::{Layer, ServiceExt};
use tower_openai::layers::AuthLayer;
use tower_openai::layers::auth::{Auth, Cached, CredentialsError, Token, token_fn};
use tower_openai::{ErrorKind, Stage};

use crate::support::{Gate, Numbered, ORIGIN, ours, own_error};

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn over(cached: Cached<Numbered>, gate: &Gate) -> Auth<Gate, Cached<Numbered>> {
    AuthLayer::new(cached).for_origin(ORIGIN).unwrap().layer(gate.clone())
}

/// The token that a call sends.
async fn sends(service: &Auth<Gate, Cached<Numbered>>) -> String {
    service.clone().oneshot(ours()).await.unwrap();
    service.get_ref().tokens().pop().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_first_callers_share_one_request_to_the_source() {
    let source = Numbered::taking(SECOND);
    let gate = Gate::taking("token-1");
    let service = over(Cached::new(source.clone()), &gate);
    assert_eq!(source.counts(), (0, 0), "not before the first call");
    let began = Instant::now();
    for result in join_all((0..100).map(|_| service.clone().oneshot(ours()))).await {
        assert_eq!(result.unwrap().status(), 200);
    }
    assert_eq!((source.counts(), began.elapsed().as_secs()), ((1, 1), 1));
    assert_eq!(sends(&service).await, "token-1");
    assert_eq!(source.counts(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_token_is_replaced_five_minutes_before_it_expires() {
    let source = Numbered::default().living(HOUR);
    let service = over(Cached::new(source.clone()), &Gate::taking("x"));
    assert_eq!(sends(&service).await, "token-1");
    advance(55 * MINUTE - SECOND).await;
    assert_eq!(sends(&service).await, "token-1");
    advance(2 * SECOND).await;
    assert_eq!(sends(&service).await, "token-2");
    assert_eq!(source.counts(), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn how_early_and_how_often_can_be_set() {
    let source = Numbered::default().living(HOUR);
    let cached = Cached::new(source).refresh_early(10 * MINUTE);
    let service = over(cached, &Gate::taking("x"));
    assert_eq!(sends(&service).await, "token-1");
    advance(50 * MINUTE + SECOND).await;
    assert_eq!(sends(&service).await, "token-2");

    // One that says nothing of its expiry.
    let cached = Cached::new(Numbered::default()).refresh_every(MINUTE);
    let service = over(cached, &Gate::taking("x"));
    assert_eq!(sends(&service).await, "token-1");
    advance(59 * SECOND).await;
    assert_eq!(sends(&service).await, "token-1");
    advance(2 * SECOND).await;
    assert_eq!(sends(&service).await, "token-2");
    let service = over(Cached::new(Numbered::default()), &Gate::taking("x"));
    assert_eq!(sends(&service).await, "token-1");
    advance(24 * 365 * HOUR).await;
    assert_eq!(sends(&service).await, "token-1");
}

#[tokio::test(start_paused = true)]
async fn a_short_life_is_halved_and_not_refreshed_at_every_call() {
    let source = Numbered::default().living(MINUTE);
    let service = over(Cached::new(source.clone()), &Gate::taking("x"));
    for _ in 0..3 {
        assert_eq!(sends(&service).await, "token-1");
        advance(9 * SECOND).await;
    }
    advance(4 * SECOND).await;
    assert_eq!(sends(&service).await, "token-2");
}

#[tokio::test(start_paused = true)]
async fn while_one_call_refreshes_early_the_others_do_not_wait() {
    let source = Numbered::taking(SECOND).living(HOUR);
    let service = over(Cached::new(source.clone()), &Gate::taking("x"));
    sends(&service).await;
    advance(56 * MINUTE).await;
    let mut leader = tokio_test::task::spawn(service.clone().oneshot(ours()));
    assert!(leader.poll().is_pending());
    let began = Instant::now();
    assert_eq!(sends(&service).await, "token-1");
    assert!(began.elapsed() < SECOND);
    leader.await.unwrap();
    assert_eq!(sends(&service).await, "token-2");
    assert_eq!(source.counts(), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn an_early_refresh_that_fails_leaves_the_token_in_use_and_the_source_alone() {
    let source = Numbered::default().living(HOUR);
    let service = over(Cached::new(source.clone()), &Gate::taking("x"));
    sends(&service).await;
    advance(56 * MINUTE).await;
    source.fail(Some(CredentialsError::transient("away")));
    for _ in 0..10 {
        assert_eq!(sends(&service).await, "token-1");
    }
    assert_eq!(source.counts(), (2, 2));
    advance(31 * SECOND).await;
    assert_eq!(sends(&service).await, "token-1");
    assert_eq!(source.counts(), (3, 3));
    // Once it has expired there is nothing left to send.
    advance(4 * MINUTE).await;
    let error = own_error(service.clone().oneshot(ours()).await.unwrap_err());
    assert_eq!((error.kind(), error.stage()), (ErrorKind::Transport, Stage::NotSent));
    source.fail(None);
    assert_eq!(sends(&service).await, "token-5");
}

/// A source that hangs, and a service whose token has 5 min to live and is to be replaced.
async fn hanging() -> (Numbered, Auth<Gate, Cached<Numbered>>) {
    let source = Numbered::default().living(HOUR);
    let service = over(Cached::new(source.clone()), &Gate::taking("x"));
    assert_eq!(sends(&service).await, "token-1");
    advance(55 * MINUTE + SECOND).await;
    source.take(24 * HOUR);
    (source, service)
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_holds_up_one_call_for_a_moment_while_the_token_is_good() {
    let (source, service) = hanging().await;
    let began = Instant::now();
    for _ in 0..4 {
        assert_eq!(sends(&service).await, "token-1");
    }
    assert_eq!((began.elapsed().as_secs(), source.counts()), (5, (2, 1)));
    advance(31 * SECOND).await;
    source.take(SECOND);
    assert_eq!(sends(&service).await, "token-2");
    assert_eq!(source.counts(), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn calls_that_give_up_on_an_early_refresh_leave_the_source_alone_for_the_next() {
    let (source, service) = hanging().await;
    let call = timeout(SECOND, service.clone().oneshot(ours()));
    assert!(call.await.is_err(), "waits for the source");
    let began = Instant::now();
    for _ in 0..4 {
        assert_eq!(sends(&service).await, "token-1");
    }
    assert!(began.elapsed() < SECOND);
    assert_eq!(source.counts(), (2, 1));
    advance(31 * SECOND).await;
    source.take(Duration::ZERO);
    assert_eq!(sends(&service).await, "token-2");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expires_while_a_source_hangs_is_not_sent() {
    let (source, service) = hanging().await;
    advance(5 * MINUTE - 3 * SECOND).await;
    // Longer than a call waits that has a token, shorter than one that has none.
    source.take(20 * SECOND);
    let began = Instant::now();
    assert_eq!(sends(&service).await, "token-2");
    assert_eq!((began.elapsed().as_secs(), source.counts()), (20, (2, 2)));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_fails_all_who_wait_at_the_time_limit() {
    for (limit, seconds) in [(None, 30), (Some(2 * SECOND), 2), (Some(2 * MINUTE), 120)] {
        let source = Numbered::taking(24 * HOUR);
        let gate = Gate::taking("x");
        let mut cached = Cached::new(source.clone());
        if let Some(limit) = limit {
            cached = cached.time_limit(limit);
        }
        let service = over(cached, &gate);
        let began = Instant::now();
        for result in join_all((0..50).map(|_| service.clone().oneshot(ours()))).await {
            let error = own_error(result.unwrap_err());
            assert_eq!((error.kind(), error.stage()), (ErrorKind::Transport, Stage::NotSent));
            assert!(error.is_retryable());
        }
        assert_eq!((began.elapsed().as_secs(), source.counts()), (seconds, (1, 0)));
        assert_eq!(gate.seen().len(), 0);
        source.take(Duration::ZERO);
        assert_eq!(sends(&service).await, "token-1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_comes_expired_is_sent_by_those_who_waited_only() {
    let source = Numbered::taking(SECOND).living(Duration::ZERO);
    let gate = Gate::taking("x");
    let service = over(Cached::new(source.clone()), &gate);
    join_all((0..10).map(|_| service.clone().oneshot(ours()))).await;
    assert_eq!(source.counts(), (1, 1));
    assert!(gate.tokens().iter().all(|token| token == "token-1"));
    assert_eq!(sends(&service).await, "token-2");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_shared_by_those_who_waited_and_not_kept() {
    let source = Numbered::taking(SECOND);
    source.fail(Some(CredentialsError::transient("away")));
    let gate = Gate::taking("x");
    let service = over(Cached::new(source.clone()), &gate);
    for result in join_all((0..50).map(|_| service.clone().oneshot(ours()))).await {
        assert!(own_error(result.unwrap_err()).is_retryable());
    }
    assert_eq!((source.counts(), gate.seen().len()), ((1, 1), 0));
    source.fail(None);
    assert_eq!(sends(&service).await, "token-2");
}

#[tokio::test(start_paused = true)]
async fn a_first_caller_that_gives_up_hands_over() {
    let source = Numbered::taking(SECOND);
    let service = over(Cached::new(source.clone()), &Gate::taking("token-1"));
    let mut first = tokio_test::task::spawn(service.clone().oneshot(ours()));
    let mut second = tokio_test::task::spawn(service.clone().oneshot(ours()));
    assert!(first.poll().is_pending() && second.poll().is_pending());
    assert_eq!(source.counts(), (1, 0));
    drop(first);
    assert_eq!(second.await.unwrap().status(), 200);
    assert_eq!(source.counts(), (2, 1));
}

#[tokio::test]
async fn an_unusable_token_is_an_error_and_nothing_is_sent() {
    for bad in ["", " ", "two words", "t\u{e9}", "t\n", "t\0"] {
        let gate = Gate::taking("x");
        let source = token_fn(move || std::future::ready(Token::new(bad)));
        let layer = AuthLayer::new(Cached::new(source)).for_origin(ORIGIN).unwrap();
        let error = own_error(layer.layer(gate.clone()).oneshot(ours()).await.unwrap_err());
        assert_eq!((error.kind(), gate.seen().len()), (ErrorKind::Build, 0), "{bad:?}");
        assert!(!error.is_retryable());
    }
}

#[test]
fn tokens_cached_and_sources_show_nothing_and_travel() {
    fn travels<T: Clone + Send + Sync + 'static>() {}
    travels::<Cached<Numbered>>();
    travels::<Auth<(), Cached<Numbered>>>();
    let cached = Cached::new(token_fn(|| async { Token::new("hidden") }));
    let token = Token::new("hidden").unwrap();
    assert!(!format!("{cached:?} {token:?}").contains("hidden"));
}

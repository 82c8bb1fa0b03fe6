use http::Request;

use super::*;

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Observe for Told {
    #[cfg(feature = "retry")]
    fn on_retry(&self, call: &CallInfo, retry: &RetryInfo) {
        let line = format!("{} {retry:?}", call.id());
        self.0.lock().unwrap().push(line);
    }

    fn on_end(&self, _: &CallInfo, end: &CallEnd<'_>) {
        let line = format!("{} {} {}", end.outcome.as_str(), end.attempts, end.retries);
        self.0.lock().unwrap().push(line);
    }
}

#[cfg(feature = "retry")]
#[test]
fn waits_are_told_until_the_call_has_ended() {
    let told = Told::default();
    let info = CallInfo::of(7, &Request::new(()), None);
    let watch = CallWatch::begin(info, Span::none(), told.clone(), false, Arc::default());
    let reason = RetryReason::Status(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(watch.sending(Attempt::FIRST).0, 1);
    watch.retrying(Attempt::FIRST, Duration::from_secs(2), reason);
    assert_eq!(watch.sending(Attempt::FIRST.next()).0, 2);
    watch.ended(None);
    watch.dropped();
    watch.retrying(Attempt::FIRST.next(), Duration::from_secs(2), reason);
    watch.ended(Some(&"late".into()));
    let told = told.0.lock().unwrap();
    let retry = "7 RetryInfo { failed: Attempt(1), delay: 2s, reason: Status(503) }";
    assert_eq!(*told, [retry, "complete 2 1"]);
}

#[test]
fn the_end_of_the_body_is_not_the_end_of_a_typed_stream() {
    let told = Told::default();
    let info = CallInfo::of(1, &Request::new(()), None);
    let watch = CallWatch::begin(info, Span::none(), told.clone(), false, Arc::default());
    watch.on_open();
    watch.ended(None);
    watch.dropped();
    assert!(told.0.lock().unwrap().is_empty());
    watch.on_end(StreamEnd::Dropped);
    watch.on_end(StreamEnd::Complete);
    assert_eq!(*told.0.lock().unwrap(), ["dropped 0 0"]);
}

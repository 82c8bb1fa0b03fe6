//! A proxy's password is nowhere but on the way to the proxy.

use std::io;
use std::sync::{Arc, Mutex};

use tower_openai::Client;
use tower_openai::services::ResponsesRequest;
use tower_openai::transport::{HyperTransport, Proxy};

use super::proxies::TestProxy;
use super::support::send;

/// The password, and the header's value that has it.
const SECRETS: [&str; 3] = ["hush-hush", "hush%2Dhush", "bWU6aHVzaC1odXNo"];
const AUTHORIZATION: &str = "Basic bWU6aHVzaC1odXNo";

#[track_caller]
fn tells_nothing(text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{text}");
    }
}

/// Everything that is traced, at the lowest level.
#[derive(Clone, Default)]
struct Trace(Arc<Mutex<Vec<u8>>>);

impl io::Write for Trace {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn row_70_a_password_is_in_no_trace_and_no_error() {
    let trace = Trace::default();
    let writer = trace.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    tracing::callsite::rebuild_interest_cache();

    let api = tower_openai::testing::Server::start().await.unwrap();
    let http = TestProxy::http(api.address(), Some(AUTHORIZATION), None).await;
    let strict = TestProxy::http(api.address(), Some("Basic other"), None).await;
    let socks = TestProxy::socks(api.address(), Some(("me", "hush-hush"))).await;
    let strict_socks = TestProxy::socks(api.address(), Some(("me", "other"))).await;
    for (scheme, addr) in [
        ("http", http.addr),
        ("http", strict.addr),
        ("socks5h", socks.addr),
        ("socks5h", strict_socks.addr),
        ("http", "127.0.0.1:1".parse().unwrap()),
    ] {
        for uri in ["http://api.test/v1", "https://api.test/v1"] {
            let env = [
                ("ALL_PROXY", &*format!("{scheme}://me:hush%2Dhush@{addr}")),
                ("OPENAI_BASE_URL", uri),
            ];
            let client = Client::builder().from_env(&env).unwrap().max_retries(1);
            tells_nothing(&format!("{client:?}"));
            let client = client.build().unwrap();
            tells_nothing(&format!("{client:?} {}", client.explain()));
            let call = client.responses().stream_request(ResponsesRequest::new("m", "hello"));
            if let Err(err) = call.await {
                let chain: Vec<_> = err.chain().map(|cause| format!("{cause} {cause:?}")).collect();
                tells_nothing(&format!("{err} {err:?} {chain:?}"));
            }
        }
    }
    let traced = String::from_utf8_lossy(&trace.0.lock().unwrap()).into_owned();
    assert!(traced.contains("api.test"), "{traced}");
    tells_nothing(&traced);
}

#[tokio::test]
async fn a_password_is_in_no_debug() {
    let proxy = Proxy::all("http://me:hush%2Dhush@127.0.0.1:1").unwrap();
    tells_nothing(&format!("{proxy:?} {proxy}"));
    let builder = HyperTransport::builder().proxy(proxy);
    tells_nothing(&format!("{builder:?}"));
    let transport = builder.build().unwrap();
    let shown = format!("{transport:?}");
    assert!(shown.contains("127.0.0.1:1"), "{shown}");
    tells_nothing(&shown);
    let err = send(transport, "http://api.test/").await.unwrap_err();
    tells_nothing(&format!("{err} {err:?}"));

    let env = [("HTTPS_PROXY", "http://me:hush%2Dhush@127.0.0.1:1")];
    let builder = HyperTransport::builder().env(&env);
    tells_nothing(&format!("{builder:?} {:?}", builder.clone().build()));
}

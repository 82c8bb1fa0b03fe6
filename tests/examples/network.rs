//! An example in a network that is not plain, with nothing but its environment to help it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tower_openai::testing;

use super::certs::Authority;
use super::proxies::TestProxy;
use super::run::{File, Ran, example, run};
use super::support::Server;

/// `me:hush-hush`.
const AUTHORIZATION: &str = "Basic bWU6aHVzaC1odXNo";

/// Runs an example with these variables and no others: whether it succeeded, and its words.
async fn with(env: &[(&str, &str)], name: &str, arguments: &[&str]) -> (bool, String) {
    let mut command = example(name, arguments);
    command.env_clear().envs(env.iter().copied());
    let Ran { code, out, err } = run(command).await;
    let said = out + &err;
    assert!(!said.contains("hush"), "{said}");
    (code == 0, said)
}

async fn chat(env: &[(&str, &str)]) -> (bool, String) {
    with(env, "chat", &["hello"]).await
}

/// The API behind TLS.
async fn api(acceptor: TlsAcceptor) -> (testing::Server, Server) {
    let api = testing::Server::start().await.unwrap();
    let address = api.address();
    let front = Server::start(move |socket| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut socket) = acceptor.accept(socket).await else { return };
            let mut api = TcpStream::connect(address).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut socket, &mut api).await;
        }
    })
    .await;
    (api, front)
}

#[tokio::test]
async fn proxies_and_authorities_of_the_environment_are_enough() {
    let authority = Authority::new("corporate");
    let bundle = File::new("corporate", &authority.pem());
    let (_api, front) = api(authority.issue(&["api.test", "localhost"]).acceptor()).await;
    let http = TestProxy::http(front.addr, Some(AUTHORIZATION), None).await;
    let socks = TestProxy::socks(front.addr, Some(("me", "hush-hush"))).await;
    let far = ("OPENAI_BASE_URL", "https://api.test/v1");
    let near = format!("https://localhost:{}/v1", front.addr.port());

    for variables in [
        [
            far,
            ("HTTPS_PROXY", &format!("http://me:hush-hush@{}", http.addr)),
            ("NO_PROXY", ""),
            ("CODEX_CA_CERTIFICATE", bundle.path()),
        ],
        [
            far,
            ("all_proxy", &format!("socks5h://me:hush-hush@{}", socks.addr)),
            ("no_proxy", "localhost"),
            ("SSL_CERT_FILE", bundle.path()),
        ],
        [
            ("OPENAI_BASE_URL", &near),
            ("https_proxy", "http://127.0.0.1:1"),
            ("NO_PROXY", ".corp.test, localhost"),
            ("SSL_CERT_FILE", bundle.path()),
        ],
    ] {
        let (ok, said) = chat(&variables).await;
        assert!(ok && said.contains("You said \"hello\""), "{said}");
        let (ok, said) = with(&variables, "endpoints", &["list-models"]).await;
        assert!(ok && said.contains(r#""object":"list""#), "{said}");
    }
    assert_eq!((http.connections(), socks.connections()), (2, 2));
}

/// The embedded server is no matter of a proxy.
#[tokio::test]
async fn an_example_needs_no_way_around_to_its_own_server() {
    let env = ("ALL_PROXY", "http://127.0.0.1:1");
    let (ok, said) = chat(&[env]).await;
    assert!(ok && said.contains("You said \"hello\""), "{said}");
    for (name, arguments) in [
        ("responses", &["hello"][..]),
        ("ws", &["hello"]),
        ("realtime", &["hello"]),
        ("endpoints", &["list-models"]),
        ("assemble", &[]),
        ("custom_auth", &[]),
        ("custom_layer", &[]),
        ("hmac_signer", &[]),
        ("in_axum_app", &[]),
        ("observe", &[]),
        ("per_endpoint_policy", &[]),
        ("reqwest_transport", &[]),
        ("resume", &[]),
        ("structured", &[]),
        ("tools", &[]),
    ] {
        let mut command = example(name, arguments);
        command.env_clear().envs([env]);
        let ran = run(command).await;
        assert_eq!(ran.code, 0, "{name}: {ran:?}");
        assert!(!ran.out.contains("gave up: cannot connect"), "{name}: {ran:?}");
    }
}

/// Of two bundles one counts, and no library below reads the other behind our back.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_bundle_that_does_not_count_is_not_trusted() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let bundles = (File::new("first", &first.pem()), File::new("second", &second.pem()));
    for (authority, trusted) in [(&first, true), (&second, false)] {
        let (_api, front) = api(authority.issue(&["localhost"]).acceptor()).await;
        let (ok, said) = chat(&[
            ("OPENAI_BASE_URL", &format!("https://localhost:{}/v1", front.addr.port())),
            ("CODEX_CA_CERTIFICATE", bundles.0.path()),
            ("SSL_CERT_FILE", bundles.1.path()),
        ])
        .await;
        assert_eq!(ok, trusted, "{said}");
    }
}

#[tokio::test]
async fn each_obstacle_is_told_with_what_to_do() {
    let authority = Authority::new("corporate");
    let bundle = File::new("obstacles", &authority.pem());
    let expired = authority.issue_with(&["api.test"], |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let (_api, good) = api(authority.issue(&["api.test"]).acceptor()).await;
    let (_api, expired) = api(expired.acceptor()).await;
    let (_api, unknown) = api(Authority::new("unknown").issue(&["api.test"]).acceptor()).await;
    // What a server of TLS 1.1 answers to us: the alert `protocol_version`.
    let old = Server::start(|mut socket| async move {
        let _ = socket.write_all(&[21, 3, 2, 0, 2, 2, 70]).await;
        let _ = socket.read_to_end(&mut Vec::new()).await;
    })
    .await;
    let by = |addr| TestProxy::http(addr, Some(AUTHORIZATION), None);
    let (good, expired) = (by(good.addr).await, by(expired.addr).await);
    let (unknown, old) = (by(unknown.addr).await, by(old.addr).await);
    let url = |proxy: &TestProxy| format!("http://me:hush-hush@{}", proxy.addr);
    let wrong = format!("http://me:hush-and-wrong@{}", good.addr);
    let socks = TestProxy::socks(good.addr, Some(("me", "hush-hush"))).await;
    let wrong_socks = format!("socks5h://me:hush-and-wrong@{}", socks.addr);
    let down = "http://me:hush-hush@127.0.0.1:1".to_owned();

    let cases = [
        (
            "api.test",
            wrong,
            format!("the proxy {} (`HTTPS_PROXY`) refuses the user name or the", good.addr),
        ),
        (
            "api.test",
            wrong_socks,
            format!("the proxy {} (`HTTPS_PROXY`) refuses the user name or the", socks.addr),
        ),
        (
            "api.test",
            url(&unknown),
            "the certificate of api.test comes from an authority that is not trusted".to_owned(),
        ),
        ("api.test", url(&expired), "the certificate of api.test has expired".to_owned()),
        ("b.test", url(&good), "the certificate of b.test is for another name".to_owned()),
        ("api.test", url(&old), "api.test speaks neither TLS 1.2 nor 1.3".to_owned()),
        ("api.test", down, "cannot connect to the proxy 127.0.0.1:1 (`HTTPS_PROXY`)".to_owned()),
    ];
    for (host, proxy, expected) in cases {
        let base_url = format!("https://{host}/v1");
        let variables = [
            ("OPENAI_BASE_URL", base_url.as_str()),
            ("HTTPS_PROXY", &proxy),
            ("CODEX_CA_CERTIFICATE", bundle.path()),
        ];
        let runs = [chat(&variables).await, with(&variables, "endpoints", &["list-models"]).await];
        for (ok, said) in runs {
            assert!(!ok && said.contains(&expected), "{said}");
        }
    }
}

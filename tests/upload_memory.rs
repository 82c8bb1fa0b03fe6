//! A large file goes up in little memory. A process of its own, and one test, because memory is the
//! process's.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower_openai::Client;
use tower_openai::provider::Provider;
use tower_openai::services::{UploadRequest, UploadSource};
use tower_openai::testing::{Script, Server};
use tower_openai::transport::HyperTransport;

const SIZE: u64 = 300 << 20;

/// Of an upload before it, with which memory is taken that is kept.
const WARM_UP: u64 = 64 << 10;

/// What an upload may hold.
const MOST: u64 = 8 << 20;

/// A line of the process's status, in bytes.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// A server that throws away what is put, and says how much that was.
async fn blobs() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, taken) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
    let count = Arc::clone(&taken);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(take(stream, Arc::clone(&count)));
        }
    });
    (address, taken)
}

/// Reads one request to its end, and answers.
async fn take(mut stream: TcpStream, count: Arc<AtomicU64>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut left: u64 = length.parse().unwrap();
    let mut buffer = vec![0; 64 << 10];
    while left > 0 {
        let read = stream.read(&mut buffer).await.unwrap() as u64;
        assert!(read > 0, "{left} bytes are missing");
        left -= read;
        count.fetch_add(read, Ordering::Relaxed);
    }
    stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n").await.unwrap();
}

struct Sparse(PathBuf);

impl Sparse {
    /// A file of so many zeros, of which the disk has none.
    fn new(size: u64) -> Self {
        let path = std::env::temp_dir().join(format!("tower-openai-{}.bin", std::process::id()));
        File::create(&path).unwrap().set_len(size).unwrap();
        Self(path)
    }
}

impl Drop for Sparse {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// How much more memory than before is held while a large file goes up: to `store`, or to the API
/// itself, which keeps no more than its beginning.
async fn grown(api: &Server, transport: HyperTransport, store: Option<String>) -> u64 {
    let provider = Provider::new("test", api.base_url()).unwrap();
    let provider = provider.backend_url(api.base_url()).unwrap();
    let client = Client::builder().provider(provider).transport(transport).build().unwrap();
    let upload = async |size| {
        if let Some(url) = &store {
            let announced = json!({"file_id": "f", "upload_url": url});
            let ready = json!({"status": "success", "download_url": "https://d.test/"});
            api.enqueue(Script::status(200).json(announced));
            api.enqueue(Script::status(200).json(ready));
        }
        let file = Sparse::new(size);
        let source = UploadSource::open(&file.0).await.unwrap();
        let highest = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&highest);
        let request = UploadRequest::from(source).on_progress(move |progress| {
            if progress.sent % (1 << 20) == 0 {
                seen.fetch_max(status("VmRSS:"), Ordering::Relaxed);
            }
        });
        let uploaded = client.files().upload(request).await.unwrap();
        assert_eq!(uploaded.size, size);
        highest.load(Ordering::Relaxed)
    };
    // What everything needs once is not counted.
    upload(WARM_UP).await;
    let before = status("VmRSS:");
    let highest = upload(SIZE).await;
    assert!(highest > 0, "it was looked at");
    highest.saturating_sub(before)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_300_mib_takes_less_than_8_mib_of_memory() {
    let (api, (address, taken)) = (Server::start().await.unwrap(), blobs().await);
    let http1 = HyperTransport::builder().http1_only().build().unwrap();
    let by_http1 = grown(&api, http1, Some(format!("http://{address}/up"))).await;
    assert_eq!(taken.load(Ordering::Relaxed), SIZE + WARM_UP);

    let http2 = HyperTransport::builder().http2_only().build().unwrap();
    let by_http2 = grown(&api, http2, None).await;
    let requests = api.requests();
    let puts = requests.iter().filter(|request| request.method() == "PUT");
    let puts: Vec<_> = puts.map(|put| (put.version(), put.body_len())).collect();
    assert_eq!(puts, [WARM_UP, SIZE].map(|size| (http::Version::HTTP_2, size)));

    for (version, grown) in [("1.1", by_http1), ("2", by_http2)] {
        println!("HTTP/{version}: {} KiB more than before", grown / 1024);
        assert!(grown < MOST, "{grown} bytes more for a file of {SIZE} over HTTP/{version}");
    }
}

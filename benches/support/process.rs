//! The processes of a benchmark: the server has one of its own, so that the client's cost can be
//! told from the server's.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

/// The server's process, which ends with this value.
pub struct ServerProcess {
    child: Child,
    pub origin: String,
}

impl ServerProcess {
    /// Runs this program once more, as the server: its `main` must begin with
    /// [`server::run_if_asked`](super::server::run_if_asked).
    pub fn start() -> Self {
        let program = std::env::current_exe().expect("the path of this program");
        let mut child = Command::new(program)
            .arg("--server")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut port = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut port).expect("the server's port");
        Self { child, origin: format!("http://127.0.0.1:{}", port.trim()) }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // The server ends with its standard input.
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// Keeps this process to one processor, if there are two; whether it worked.
pub fn pin(cpu: usize) -> bool {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).is_ok()
}

/// Allows as many open files as may be, and checks that `wanted` are.
pub fn allow_files(wanted: u64) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let allowed = getrlimit(Resource::Nofile).current.or(current).unwrap_or(u64::MAX);
    assert!(
        allowed >= wanted,
        "{wanted} open files are needed, {allowed} allowed: raise `ulimit -n`"
    );
}

/// Resident memory of this process in bytes.
pub fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = statm.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("a number");
    pages * rustix::param::page_size()
}

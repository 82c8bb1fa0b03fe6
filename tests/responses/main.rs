//! The Responses endpoint as its callers see it: over an HTTP service of the test's, or over the
//! scripted loopback server.
//!
//! `http.md` and `faults.md` in the names of tests stand for the project's two sheets of required
//! behaviour: the acceptance vectors of the wire format, and the rows of the fault matrix.

mod contract;
mod faults_http;
mod faults_stream;
mod faults_time;
mod faults_wire;
mod promises;
mod reading;
mod repeats;
mod side_channel;
mod support;
mod timeouts;
mod vectors;

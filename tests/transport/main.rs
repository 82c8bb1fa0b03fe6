//! The transport against real sockets on loopback, and against sockets that are none.

mod certs;
mod connect;
mod connector;
mod hostile;
mod http1;
mod http2;
mod proxies;
mod proxy;
mod requests;
mod roots;
mod secrets;
mod support;
mod tls;
mod upgrade;
mod vanished;
mod verdicts;

//! The loopback server, driven by a plain client and by raw sockets.

mod conversations;
mod endpoints;
mod files;
mod nonsense;
mod own_client;
mod proxies;
mod realtime;
mod scripts;
mod socket_lanes;
mod socket_scripts;
mod sockets;
mod stored;
mod support;
mod tls;

//! (under construction)
pub mod server;
pub mod tls;

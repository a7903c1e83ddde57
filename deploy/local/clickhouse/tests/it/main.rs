//! The local server with its real engine, against real clients.

#[cfg(test)]
mod http;
#[cfg(test)]
mod python_client;
#[cfg(test)]
mod rust_client;
#[cfg(test)]
mod server;

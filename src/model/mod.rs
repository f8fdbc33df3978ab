//! What the server remembers: plain values and the states that they may be in.

pub mod api_token;
pub mod attempt;
pub mod authorization;
pub mod client;
pub mod grant;
pub mod id;
pub mod key;
pub mod managed;
mod precis;
pub mod secret;
pub mod time;
pub mod user;

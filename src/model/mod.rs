//! What the server remembers: plain values and the states that they may be in.

pub mod api_token;
pub mod attempt;
pub mod authorization;
pub mod client;
pub mod clock;
pub mod grant;
pub mod key;
pub mod managed;
mod precis;
pub mod secret;
pub mod user;

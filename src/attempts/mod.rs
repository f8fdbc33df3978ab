//! The record of attempts to connect: what came in at which step, so that "it doesn't connect" has an answer.
//!
//! `recorder` takes events from requests and never makes one wait; `writer` brings them into the store.

pub mod recorder;
pub mod scrub;

//! The shell around the endpoints: how requests are read and in which form answers leave.

pub(crate) mod address;
pub(crate) mod body;
pub(crate) mod cookie;
mod forwarded;
pub(crate) mod limit;
pub(crate) mod page;
pub(crate) mod respond;
pub(crate) mod visit;

//! How requests are read: from where, how many, with what body and cookies, and to which attempt to connect they belong.

pub(crate) mod address;
pub(crate) mod body;
pub(crate) mod context;
pub(crate) mod cookie;
mod forwarded;
pub(crate) mod limit;

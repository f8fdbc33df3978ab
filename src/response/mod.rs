//! The forms in which answers leave.

pub(crate) mod page;
pub(crate) mod respond;

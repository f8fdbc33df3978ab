//! Who a client is: what the store says of its id, and what is known of its vendor.

pub mod draft;
pub mod managed;
pub mod profile;

//! Everything that touches key material: randomness, the master key and what it seals, signing keys, tokens,
//! passwords.

pub mod jwt;
pub mod keys;
pub mod master;
pub mod password;
pub mod random;

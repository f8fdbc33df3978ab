//! Everything that touches key material: randomness, the master key and what it seals, signing keys, tokens,
//! clients' assertions, passwords.

pub mod assertion;
pub mod jwt;
pub mod keys;
pub mod master;
pub mod password;
pub mod random;

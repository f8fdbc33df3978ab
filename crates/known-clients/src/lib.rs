//! What is known of other people's software: who they are ([`profile`]), what they publish about themselves ([`copies`]),
//! and how each of them speaks ([`replica`]), as reviewed data.

pub mod copies;
pub mod profile;
pub mod replica;
pub mod replicas;

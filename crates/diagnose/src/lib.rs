//! Looks at a deployment from outside, as clients do: the doctor says for each client whether it will connect, and
//! `simulate` plays one client from the first call to the revocation. Both ask over HTTP and change nothing at the server
//! beyond what a client would; nothing that serves requests uses this package.

pub mod doctor;
pub mod outside;
pub mod simulate;

//! The authorization server's endpoints, one module each. None imports another: what two of them need lies
//! below them, and browser steps meet only at the dispatcher, through redirects.

pub(crate) mod authorize;
pub(crate) mod consent;
pub(crate) mod discovery;
pub(crate) mod document;
pub(crate) mod health;
pub(crate) mod login;
pub(crate) mod logo;
pub(crate) mod manual;
pub(crate) mod probe;
pub(crate) mod register;
pub(crate) mod revoke;
pub(crate) mod setup;
pub(crate) mod token;

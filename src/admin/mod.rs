//! What an administrator does: one set of use cases, to which the admin API and the command line give a form (ADR 11).

pub mod clients;

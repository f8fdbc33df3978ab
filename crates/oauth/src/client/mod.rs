//! What a client says of itself, or an administrator of it: client metadata (RFC 7591 §2), by one parser from three
//! sources. Pure: members come in, a client or the rule that was broken comes out. A broken rule may be shown to a person on
//! a page, so each has its sentence.

mod auth_method;
mod fault;
mod id_url;
mod metadata;
mod parse;

pub use auth_method::AuthMethod;
pub use fault::{Member, MetadataFault, Problem};
pub use id_url::{ClientIdUrl, InvalidClientIdUrl};
pub use metadata::{ClientKeys, ClientMetadata};
pub use parse::{MAX_BYTES, MetadataRules, Source};

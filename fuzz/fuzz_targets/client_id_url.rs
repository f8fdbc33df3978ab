//! A `client_id` of any content: it is refused, or it is one https URL in one spelling.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oauth::client::ClientIdUrl;

fuzz_target!(|text: &str| {
    let Ok(id) = ClientIdUrl::parse(text, &[443, 8443]) else { return };
    assert!(ClientIdUrl::is_meant_by(text));
    assert_eq!(id.as_str(), text);
    let url = url::Url::parse(text).expect("what was accepted is a URL");
    assert_eq!((url.as_str(), url.scheme(), url.host_str()), (text, "https", Some(id.host())));
    assert!(matches!(url.host(), Some(url::Host::Domain(name)) if name.contains('.') && !name.ends_with('.')));
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
    assert!(url.path().len() > 1 && !url.path().split('/').any(|segment| matches!(segment, "." | "..")));
    assert!(matches!(url.port(), None | Some(8443)));
});

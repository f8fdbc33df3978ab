//! How long an answer may be kept, by its own words (RFC 9111 §4.2, §5.2.2, §5.3).

use std::time::Duration;

use oauth::time::Timestamp;
use reqwest::header::{AGE, CACHE_CONTROL, DATE, EXPIRES, HeaderMap, HeaderName};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// What an answer says of its own freshness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// To be fetched again at the next occasion (`no-store`, `no-cache`).
    None,
    /// For this long from now.
    For(Duration),
    /// Nothing said.
    Unsaid,
}

impl Freshness {
    pub(super) fn of(headers: &HeaderMap, now: Timestamp) -> Self {
        let values = || headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
        let directives: Vec<(String, String)> = values()
            .flat_map(|value| value.split(','))
            .map(|directive| {
                let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
                (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"').to_owned())
            })
            .collect();
        let find = |name: &str| directives.iter().find(|(own, _)| own == name);
        if find("no-store").is_some() || find("no-cache").is_some() {
            return Self::None;
        }
        let age = text(headers, &AGE).and_then(|text| text.parse().ok()).unwrap_or(0);
        // This is a cache that many people share: s-maxage goes first (RFC 9111 §5.2.2.10).
        if let Some((_, value)) = find("s-maxage").or_else(|| find("max-age")) {
            // What can't be read is stale (RFC 9111 §4.2.1).
            let seconds: u64 = value.parse().unwrap_or(0);
            return Self::For(Duration::from_secs(seconds.saturating_sub(age)));
        }
        let Some(expires) = text(headers, &EXPIRES) else { return Self::Unsaid };
        let moment = |text: &str| OffsetDateTime::parse(text, &Rfc2822).map(OffsetDateTime::unix_timestamp).ok();
        let sent = text(headers, &DATE).and_then(moment).unwrap_or(now.0);
        let seconds = moment(expires).map_or(0, |expires| expires.saturating_sub(sent));
        Self::For(Duration::from_secs(u64::try_from(seconds).unwrap_or(0).saturating_sub(age)))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use oauth::time::Timestamp;
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    use super::Freshness;

    ///
    #[test]
    fn cache_headers_are_read() {
        let seconds = |seconds| Freshness::For(Duration::from_secs(seconds));
        let cases: &[(&[(&str, &str)], Freshness)] = &[
            (&[], Freshness::Unsaid),
            (&[("cache-control", "public")], Freshness::Unsaid),
            (&[("cache-control", "No-Store")], Freshness::None),
            (&[("cache-control", "max-age=60, no-cache")], Freshness::None),
            (&[("cache-control", "max-age=60"), ("cache-control", "no-store")], Freshness::None),
            (&[("cache-control", "public, max-age=\"60\"")], seconds(60)),
            (&[("cache-control", "max-age=60, s-maxage=600"), ("age", "100")], seconds(500)),
            (&[("cache-control", "max-age=60"), ("age", "100")], seconds(0)),
            (&[("cache-control", "max-age=x")], seconds(0)),
            (&[("cache-control", "max-age=99999999999999999999999")], seconds(0)),
            (&[("expires", "Sun, 06 Nov 1994 08:49:37 GMT"), ("date", "Sun, 06 Nov 1994 08:48:37 GMT")], seconds(60)),
            (&[("expires", "Thu, 01 Jan 1970 00:16:50 GMT")], seconds(10)),
            (&[("expires", "0")], seconds(0)),
            (&[("expires", "Sun, 06 Nov 1994 08:49:37 GMT"), ("cache-control", "max-age=5")], seconds(5)),
        ];
        for (lines, expected) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in *lines {
                headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_static(value));
            }
            assert_eq!(Freshness::of(&headers, Timestamp(1000)), *expected, "{lines:?}");
        }
    }
}

//! For whom a request is passed on, as proxies write it: `Forwarded` (RFC 7239), or a list of addresses as in
//! `X-Forwarded-For`.
//!
//! A proxy writes at the right end of what it received, so everything here is read from there. Whatever stands further
//! left may be a client's: it must not change how the right end is read, not even by a quotation mark without its match.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::HeaderValue;
use axum::http::header::GetAll;

/// How a header writes hops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Addresses.
    List,
    /// Parameters, of which `for` is the one that counts.
    Forwarded,
}

/// The hops that the lines of a header name, from the right; `None` stands for one that can't be read.
pub(super) fn hops(form: Form, lines: &GetAll<'_, HeaderValue>) -> impl Iterator<Item = Option<IpAddr>> {
    // RFC 9110 §5.3: later lines continue earlier ones.
    lines.iter().rev().flat_map(|line| FromRight::split(line.as_bytes(), b',')).map(move |element| {
        let element = element?;
        match form {
            Form::List => address(&unquoted(element)?),
            Form::Forwarded => address(&forwarded_for(element)?),
        }
    })
}

/// The parts of a list, the last one first. A separator in a quoted string separates nothing. What has an opening
/// quotation mark only is one part that can't be read, and the last that is given.
struct FromRight<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> FromRight<'a> {
    fn split(list: &'a [u8], separator: u8) -> Self {
        Self { rest: Some(list), separator }
    }
}

impl<'a> Iterator for FromRight<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let list = self.rest.take()?;
        let mut quoted = false;
        for (at, byte) in list.iter().enumerate().rev() {
            let (before, from) = list.split_at_checked(at)?;
            if *byte == b'"' && !(quoted && is_escaped(before)) {
                quoted = !quoted;
            } else if *byte == self.separator && !quoted {
                self.rest = Some(before);
                return Some(from.get(1..));
            }
        }
        Some((!quoted).then_some(list))
    }
}

/// Whether what follows `before` inside a quoted string has a backslash of its own (RFC 9110 §5.6.4).
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// The value of `for` in an element of `Forwarded` (RFC 7239 §4). One that stands twice says nothing.
fn forwarded_for(element: &[u8]) -> Option<String> {
    let mut found = None;
    for pair in FromRight::split(element, b';') {
        let pair = pair?.trim_ascii();
        if pair.is_empty() {
            continue;
        }
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = pair.split_at_checked(equals)?;
        if name.trim_ascii().eq_ignore_ascii_case(b"for") && found.replace(unquoted(value.get(1..)?)?).is_some() {
            return None;
        }
    }
    found
}

/// A token or a quoted string as text.
fn unquoted(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value.trim_ascii()).ok()?;
    let Some(inner) = text.strip_prefix('"') else {
        return Some(text.to_owned());
    };
    let mut plain = String::with_capacity(inner.len());
    let mut characters = inner.strip_suffix('"')?.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.push(characters.next()?),
            '"' => return None,
            other => plain.push(other),
        }
    }
    Some(plain)
}

/// An address in any of the forms in which proxies write one: with or without a port, brackets, a zone, an IPv4 address
/// inside an IPv6 one. `unknown` and `_names` (RFC 7239 §6.2, §6.3) are none.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches([' ', '\t']);
    if let Some(inner) = text.strip_prefix('[') {
        let (address, port) = inner.split_once(']')?;
        return (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then(|| ipv6(address))?;
    }
    let address = match text.split_once(':') {
        None => IpAddr::V4(text.parse::<Ipv4Addr>().ok()?),
        Some((address, port)) if !port.contains(':') => {
            IpAddr::V4(address.parse::<Ipv4Addr>().ok().filter(|_| is_port(port))?)
        }
        Some(_) => ipv6(text)?,
    };
    Some(address)
}

fn ipv6(text: &str) -> Option<IpAddr> {
    // RFC 6874: the interface that a link-local address belongs to. It means something on the proxy only.
    let address = match text.split_once('%') {
        Some((_, "")) => return None,
        Some((address, _)) => address,
        None => text,
    };
    address.parse::<Ipv6Addr>().ok().map(|address| IpAddr::V6(address).to_canonical())
}

/// A port, or a name that stands for one (RFC 7239 §6).
fn is_port(text: &str) -> bool {
    let name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let number = text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok();
    number || text.strip_prefix('_').is_some_and(name)
}

#[cfg(test)]
mod tests {
    use axum::http::header::FORWARDED;
    use axum::http::{HeaderMap, HeaderValue};
    use proptest::prelude::*;

    use super::{Form, address, hops};

    /// The hops of some header lines, from the right, as text.
    fn read(form: Form, lines: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED, HeaderValue::from_str(line).unwrap());
        }
        hops(form, &headers.get_all(FORWARDED)).map(|hop| hop.map_or("-".to_owned(), |hop| hop.to_string())).collect()
    }

    /// As nginx, `HAProxy`, Apache, Envoy, AWS, Azure, IIS and others write them.
    #[test]
    fn addresses_are_read_in_every_form_that_proxies_write() {
        for (text, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:5678", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("[2001:db8::1]:_http", "2001:db8::1"),
            ("192.0.2.1:_gazonk", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("[::ffff:c000:201]:443", "192.0.2.1"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%25en0]:1", "fe80::1"),
            ("::1", "::1"),
            (" \t192.0.2.1\t ", "192.0.2.1"),
        ] {
            assert_eq!(address(text).map(|address| address.to_string()).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            " ",
            "unknown",
            "_hidden",
            "_SEVKISEK",
            "-",
            "unix:",
            "localhost",
            "192.0.2",
            "192.0.2.1.5",
            "192.0.2.256",
            "0192.0.2.1",
            "192.0.2.1/32",
            "192.0.2.1:",
            "192.0.2.1:x",
            "192.0.2.1:65536",
            "192.0.2.1:+1",
            "192.0.2.1:-1",
            "192.0.2.1:_",
            "192.0.2.1 192.0.2.2",
            "[192.0.2.1]",
            "[2001:db8::1",
            "2001:db8::1]",
            "[2001:db8::1]80",
            "[2001:db8::1]:",
            "[]",
            "2001:db8::1::2",
            "fe80::1%",
            "%eth0",
            "::ffff:192.0.2.1:80x",
            "http://192.0.2.1",
        ] {
            assert_eq!(address(text), None, "{text}");
        }
    }

    #[test]
    fn lists_are_read_from_the_right_line_by_line() {
        let read = |lines: &[&str]| read(Form::List, lines);
        assert_eq!(read(&["192.0.2.1, 192.0.2.2:80 ,\t[2001:db8::1]:443"]), ["2001:db8::1", "192.0.2.2", "192.0.2.1"]);
        assert_eq!(read(&["192.0.2.1", "192.0.2.2,192.0.2.3"]), ["192.0.2.3", "192.0.2.2", "192.0.2.1"]);
        assert_eq!(read(&["\"[2001:db8::1]:80\", \"192.0.2.1\""]), ["192.0.2.1", "2001:db8::1"]);
        assert_eq!(read(&["192.0.2.1, , x, 192.0.2.2,"]), ["-", "192.0.2.2", "-", "-", "192.0.2.1"]);
        assert_eq!(read(&["\"192.0.2.9, 192.0.2.1"]), ["192.0.2.1", "-"]);
        assert_eq!(read(&[]), Vec::<String>::new());
        assert_eq!(read(&[""]), ["-"]);
    }

    /// RFC 7239 §4, §6, §7, with its own examples.
    #[test]
    fn forwarded_is_read_in_every_lawful_form() {
        for (line, expected) in [
            ("for=\"_gazonk\"", "-"),
            ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
            ("by=203.0.113.43;FOR=192.0.2.60", "192.0.2.60"),
            ("proto=https ; for=192.0.2.60 ; host=\"a,b;for=198.51.100.1\"", "192.0.2.60"),
            ("for=192.0.2.60;host=\"\\\", for=198.51.100.1\"", "192.0.2.60"),
            ("for=192.0.2.60;ext=\"\\\\\"", "192.0.2.60"),
            ("for=\"192.0.2.60:47011\"", "192.0.2.60"),
            ("for=\"192.0.2.\\60\"", "192.0.2.60"),
            ("for=[2001:db8::1]", "2001:db8::1"),
            ("for=unknown", "-"),
            ("for=\"unknown\";proto=https", "-"),
            ("proto=https", "-"),
            ("for=192.0.2.60;for=192.0.2.61", "-"),
            ("for", "-"),
            ("for=", "-"),
            ("for=\"192.0.2.60", "-"),
            ("for=192.0.2.60\"", "-"),
            ("192.0.2.60", "-"),
            ("", "-"),
        ] {
            assert_eq!(read(Form::Forwarded, &[line]), [expected], "{line}");
        }
        assert_eq!(
            read(
                Form::Forwarded,
                &["for=192.0.2.43, for=\"[2001:db8:cafe::17]\"", "for=192.0.2.44;by=\"a,b\" , for=unknown"]
            ),
            ["-", "192.0.2.44", "2001:db8:cafe::17", "192.0.2.43"]
        );
    }

    proptest! {
        /// What stands left of the last hop never changes it, in one line or in several.
        #[test]
        fn nothing_on_the_left_changes_the_last_hop(prefix in "[ -~\t]{0,40}", one_line in any::<bool>()) {
            for (form, own) in [
                (Form::List, "192.0.2.1"),
                (Form::List, "[2001:db8::1]:80"),
                (Form::Forwarded, "for=192.0.2.1"),
                (Form::Forwarded, "proto=https;for=\"[2001:db8::1]:80\";host=\"a, \\\"b\\\\\""),
            ] {
                let joined = format!("{prefix}, {own}");
                let lines = if one_line { vec![joined.as_str()] } else { vec![prefix.as_str(), own] };
                prop_assert_eq!(&read(form, &lines)[0], &read(form, &[own])[0]);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let headers = HeaderMap::from_iter([(FORWARDED, value)]);
                for form in [Form::List, Form::Forwarded] {
                    prop_assert!(hops(form, &headers.get_all(FORWARDED)).count() <= bytes.len() + 1);
                }
            }
        }
    }
}

//! What a document's text and name say about it: its title, its place in an address.

use std::fmt::Write as _;

/// The most lines that are read in search of a title.
const TITLE_WITHIN_LINES: usize = 50;

/// The title that a text gives itself: `title:` of its front matter, else its first Markdown heading.
pub(super) fn title(text: &str) -> Option<String> {
    let text = text.trim_start_matches('\u{feff}');
    let mut lines = text.lines().take(TITLE_WITHIN_LINES);
    let mut first = lines.next()?;
    if first.trim_end() == "---" {
        for line in lines.by_ref() {
            if line.trim_end() == "---" {
                break;
            }
            if let Some(title) = line.strip_prefix("title:").and_then(clean) {
                return Some(title);
            }
        }
        first = lines.next()?;
    }
    std::iter::once(first).chain(lines).find_map(|line| clean(line.strip_prefix("# ")?))
}

/// A title without its quotes and closing hashes; `None` when nothing is left.
fn clean(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches('#').trim().trim_matches(['"', '\'']).trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A title made of a file's name: `guides/first-steps.md` is "First steps".
pub(super) fn title_from_name(id: &str) -> String {
    let name = id.rsplit('/').next().unwrap_or(id);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let words = stem.replace(['-', '_'], " ");
    let mut letters = words.trim().chars();
    letters.next().map_or_else(|| id.to_owned(), |first| first.to_uppercase().chain(letters).collect())
}

/// An id as the path of an address (RFC 3986 §3.3): all but the unreserved characters and `/` are encoded.
pub(super) fn percent_encoded(id: &str) -> String {
    let mut path = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            path.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::{percent_encoded, title, title_from_name};

    #[test]
    fn title_is_front_matter_then_heading() {
        for (text, wanted) in [
            ("# Hello #\ntext", Some("Hello")),
            ("\u{feff}# Hello", Some("Hello")),
            ("intro\n\n# Late", Some("Late")),
            ("---\ntitle: \"Named\"\n---\n# Other", Some("Named")),
            ("---\ntags: x\n---\n# Other", Some("Other")),
            ("---\ntitle:\n---\n\n# Other", Some("Other")),
            ("## Not a title\n#Neither", None),
            ("---", None),
            ("# ", None),
            ("", None),
        ] {
            assert_eq!(title(text).as_deref(), wanted, "{text:?}");
        }
    }

    #[test]
    fn name_becomes_words() {
        assert_eq!(title_from_name("guides/first-steps.md"), "First steps");
        assert_eq!(title_from_name("état_2.txt"), "État 2");
        assert_eq!(title_from_name("-.md"), "-.md");
    }

    #[test]
    fn address_holds_only_unreserved_characters() {
        assert_eq!(percent_encoded("a b/ü?#%.md"), "a%20b/%C3%BC%3F%23%25.md");
    }
}

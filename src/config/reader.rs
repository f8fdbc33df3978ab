//! Takes typed values out of the layers. A value that is wrong is noted and stood in for, so that the rest is looked at too;
//! with a problem noted, what was read is thrown away.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::address;
use super::duration;
use super::layers::{Layers, SECRETS, Value};
use super::problems::{Origin, Problems};

pub(super) struct Reader {
    layers: Layers,
    pub(super) problems: Problems,
    pub(super) notices: Vec<String>,
}

impl Reader {
    pub(super) fn new(mut layers: Layers) -> Self {
        Self { problems: std::mem::take(&mut layers.problems), notices: std::mem::take(&mut layers.notices), layers }
    }

    /// Notes a problem with the value of `key`.
    pub(super) fn refuse(&mut self, key: &str, message: impl Into<String>) {
        let origin = self.layers.entry(key).map_or(Origin::Default, |entry| entry.origin.clone());
        self.problems.push(&origin, key, message);
    }

    /// Says something that doesn't keep the server from starting.
    pub(super) fn notice(&mut self, message: impl Into<String>) {
        self.notices.push(message.into());
    }

    /// Whether nothing was found wrong with these keys so far, so that comparing them makes sense.
    pub(super) fn sound(&self, keys: &[&str]) -> bool {
        !self.problems.0.iter().any(|problem| keys.contains(&problem.key.as_str()))
    }

    /// What is in effect, section by section, each value with its origin. Secrets are not shown.
    pub(super) fn effective(&self) -> String {
        let mut text = String::new();
        let mut open_section = "";
        for entry in &self.layers.entries {
            let (section, name) = entry.key.rsplit_once('.').unwrap_or(("", &entry.key));
            if section != open_section {
                let _ = writeln!(text, "\n[{section}]");
                open_section = section;
            }
            let mut value = entry.value.clone();
            if let Value::Text(text) = &mut value
                && !text.is_empty()
            {
                match entry.key.as_str() {
                    "database.url" => *text = address::shown_database(text),
                    "documents.proxy" => *text = address::shown_proxy(text),
                    key if SECRETS.contains(&key) => address::HIDDEN.clone_into(text),
                    _ => {}
                }
            }
            let _ = write!(text, "{name} = {value}");
            if entry.origin != Origin::Default {
                let _ = write!(text, "  # {}", entry.origin);
            }
            text.push('\n');
        }
        text
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.layers.entry(key).map(|entry| &entry.value)
    }

    /// A slip of ours, not the administrator's; the test that loads the defaults finds it.
    fn missing(&mut self, key: &str) {
        self.refuse(key, "is not in the reference as this kind of value");
    }

    /// A text; "" where not set.
    pub(super) fn text(&mut self, key: &str) -> String {
        if let Some(Value::Text(text)) = self.value(key) {
            return text.clone();
        }
        self.missing(key);
        String::new()
    }

    pub(super) fn list(&mut self, key: &str) -> Vec<String> {
        if let Some(Value::List(list)) = self.value(key) {
            return list.clone();
        }
        self.missing(key);
        Vec::new()
    }

    /// A list whose items are each parsed, and occur once.
    pub(super) fn items<T: PartialEq>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let mut items = Vec::new();
        for text in self.list(key) {
            match parse(&text) {
                Ok(item) if items.contains(&item) => {
                    self.refuse(key, format!("{text:?} is there twice"));
                }
                Ok(item) => items.push(item),
                Err(message) => self.refuse(key, message),
            }
        }
        items
    }

    pub(super) fn table(&mut self, key: &str) -> BTreeMap<String, String> {
        if let Some(Value::Table(table)) = self.value(key) {
            return table.clone();
        }
        self.missing(key);
        BTreeMap::new()
    }

    pub(super) fn flag(&mut self, key: &str) -> bool {
        if let Some(Value::Flag(flag)) = self.value(key) {
            return *flag;
        }
        self.missing(key);
        false
    }

    /// A number within `range`; the range's start where it isn't.
    pub(super) fn number(&mut self, key: &str, range: RangeInclusive<u32>) -> u32 {
        let Some(Value::Number(number)) = self.value(key) else {
            self.missing(key);
            return *range.start();
        };
        let number = *number;
        match u32::try_from(number) {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let message = if *range.end() == u32::MAX {
                    format!("must be at least {}; found {number}", range.start())
                } else {
                    format!("must be from {} to {}; found {number}", range.start(), range.end())
                };
                self.refuse(key, message);
                *range.start()
            }
        }
    }

    /// The same as a size.
    pub(super) fn size(&mut self, key: &str, range: RangeInclusive<u32>) -> usize {
        usize::try_from(self.number(key, range)).unwrap_or(usize::MAX)
    }

    pub(super) fn count(&mut self, key: &str) -> NonZeroU32 {
        NonZeroU32::new(self.number(key, 1..=u32::MAX)).unwrap_or(NonZeroU32::MIN)
    }

    pub(super) fn bytes(&mut self, key: &str) -> usize {
        self.size(key, 1024..=u32::MAX)
    }

    /// A duration within `range`; zero where it isn't.
    pub(super) fn duration(&mut self, key: &str, range: RangeInclusive<Duration>) -> Duration {
        let text = self.text(key);
        match duration::parse(&text) {
            Ok(span) if range.contains(&span) => return span,
            Ok(_) if *range.end() == Duration::MAX => {
                self.refuse(key, format!("must be at least {}; found {text:?}", duration::format(*range.start())));
            }
            Ok(_) => self.refuse(
                key,
                format!(
                    "must be from {} to {}; found {text:?}",
                    duration::format(*range.start()),
                    duration::format(*range.end())
                ),
            ),
            Err(message) => self.refuse(key, message),
        }
        Duration::ZERO
    }

    pub(super) fn address(&mut self, key: &str) -> SocketAddr {
        let text = self.text(key);
        text.parse().unwrap_or_else(|_| {
            self.refuse(
                key,
                format!(
                    "{text:?} is not an address and port; write \"127.0.0.1:8080\", \"0.0.0.0:8080\" or \"[::]:8080\""
                ),
            );
            SocketAddr::from(([127, 0, 0, 1], 0))
        })
    }

    /// One word out of a few; the first where it isn't.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, first: (&str, T), more: &[(&str, T)]) -> T {
        let text = self.text(key);
        let found = std::iter::once(&first).chain(more).find(|(word, _)| *word == text);
        if let Some((_, value)) = found {
            return *value;
        }
        let words: Vec<String> = std::iter::once(&first).chain(more).map(|(word, _)| format!("{word:?}")).collect();
        self.refuse(key, format!("must be one of {}; found {text:?}", words.join(", ")));
        first.1
    }
}

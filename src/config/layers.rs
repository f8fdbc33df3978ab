//! The layers a value may come from, put together: defaults, file, environment, files of secrets.
//! Knows types and names of keys, from the embedded reference; knows nothing of what the values mean.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problems::{Origin, Problems, closest};

/// The reference: every key there is, its default and its explanation.
pub(super) const REFERENCE: &str = include_str!("../../config/default.toml");

/// Tables whose keys the administrator makes up. Set as a whole.
const FREE_TABLES: [&str; 1] = ["scopes.describe"];

/// Keys whose value may be kept in a file that `<key>_file` names.
pub(super) const SECRETS: [&str; 3] = ["database.url", "keys.master_key", "registration.initial_access_token"];

/// How the name of an environment variable that sets a key begins.
pub(super) const ENV_PREFIX: &str = "PORTCULLIS__";

/// A value of one of the kinds that the reference uses.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    Flag(bool),
    List(Vec<String>),
    Table(BTreeMap<String, String>),
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text in quotes",
            Self::Number(_) => "a whole number",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list of texts, [\"…\", \"…\"]",
            Self::Table(_) => "a table of texts",
        }
    }

    fn same_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// As TOML.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = match self {
            Self::Text(text) => toml::Value::from(text.as_str()),
            Self::Number(number) => toml::Value::from(*number),
            Self::Flag(flag) => toml::Value::from(*flag),
            Self::List(list) => toml::Value::from(list.clone()),
            Self::Table(table) => table
                .iter()
                .map(|(key, text)| (key.clone(), toml::Value::from(text.as_str())))
                .collect::<toml::Table>()
                .into(),
        };
        write!(f, "{value}")
    }
}

/// One key with the value in effect.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) origin: Origin,
    default: Value,
}

/// All keys, in the order of the reference.
pub(super) struct Layers {
    pub(super) entries: Vec<Entry>,
    pub(super) problems: Problems,
    pub(super) notices: Vec<String>,
}

impl Layers {
    /// Puts the layers together. Finds unknown keys and wrong types, and keeps going.
    pub(super) fn load(file: Option<&Path>, env: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut layers = Self::reference();
        if let Some(path) = file {
            layers.read_file(path);
        }
        layers.read_env(env);
        layers.read_secret_files();
        layers
    }

    /// The defaults alone.
    fn reference() -> Self {
        let mut problems = Problems::default();
        let parsed = DeTable::parse(REFERENCE);
        let mut found = Vec::new();
        match &parsed {
            Ok(table) => flatten("", table.get_ref(), &mut found),
            Err(error) => problems.push(&Origin::Default, "", error.message()),
        }
        let mut entries: Vec<(usize, Entry)> = Vec::new();
        for leaf in found {
            match convert(leaf.value) {
                Ok(value) => {
                    let entry = Entry { key: leaf.key, default: value.clone(), value, origin: Origin::Default };
                    entries.push((leaf.position, entry));
                }
                Err(other) => problems.push(&Origin::Default, leaf.key, other),
            }
        }
        entries.sort_by_key(|(position, _)| *position);
        Self { entries: entries.into_iter().map(|(_, entry)| entry).collect(), problems, notices: Vec::new() }
    }

    fn read_file(&mut self, path: &Path) {
        let at = |line| Origin::File { path: path.to_owned(), line };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                self.problems.push(&at(None), "", format!("can't be read: {error}"));
                return;
            }
        };
        let (table, errors) = DeTable::parse_recoverable(&text);
        for error in &errors {
            let line = error.span().map(|span| line_of(&text, span.start));
            self.problems.push(&at(line), "", error.message());
        }
        if !errors.is_empty() {
            return;
        }
        let mut found = Vec::new();
        flatten("", table.get_ref(), &mut found);
        found.sort_by_key(|leaf| leaf.position);
        let mut unknown_sections: Vec<String> = Vec::new();
        for leaf in found {
            let origin = at(Some(line_of(&text, leaf.position)));
            if self.entry(&leaf.key).is_some() {
                match convert(leaf.value) {
                    Ok(value) => self.set(&leaf.key, value, origin),
                    Err(other) => self.refuse_kind(&leaf.key, &origin, &other),
                }
            } else if let Some(section) = self.unknown_section(&leaf.key) {
                if !unknown_sections.contains(&section) {
                    self.refuse_unknown(&section, "section", &origin);
                    unknown_sections.push(section);
                }
            } else {
                self.refuse_unknown(&leaf.key, "key", &origin);
            }
        }
    }

    fn read_env(&mut self, env: impl IntoIterator<Item = (String, String)>) {
        let mut variables: Vec<(String, String)> =
            env.into_iter().filter(|(name, _)| name.starts_with("PORTCULLIS_")).collect();
        variables.sort();
        for (name, text) in variables {
            let origin = Origin::Env(name.clone());
            let Some(rest) = name.strip_prefix(ENV_PREFIX) else {
                self.check_single_underscores(&name, &origin);
                continue;
            };
            let key = rest.to_ascii_lowercase().replace("__", ".");
            let Some(entry) = self.entry(&key) else {
                self.refuse_unknown(&key, "key", &origin);
                continue;
            };
            // An empty variable is how compose files and shells say "not set".
            if text.is_empty() {
                continue;
            }
            match from_env(&text, &entry.default) {
                Ok(value) => self.set(&key, value, origin),
                Err(other) => self.refuse_kind(&key, &origin, &other),
            }
        }
    }

    /// `PORTCULLIS_PUBLIC_URL` would be ignored in silence where `PORTCULLIS__PUBLIC_URL` was meant. Only exact
    /// matches are refused: orchestrators set variables of this shape (`PORTCULLIS_SERVICE_HOST`) by themselves.
    fn check_single_underscores(&mut self, name: &str, origin: &Origin) {
        let flat = |key: &str| format!("PORTCULLIS_{}", key.replace('.', "_").to_ascii_uppercase());
        let meant = self.entries.iter().find(|entry| flat(&entry.key) == name).map(|entry| env_name(&entry.key));
        if let Some(meant) = meant {
            self.problems.push(origin, "", format!("not a setting; did you mean {meant} (two underscores)?"));
        }
    }

    fn read_secret_files(&mut self) {
        for key in SECRETS {
            let Some(entry) = self.entry(&format!("{key}_file")) else {
                continue;
            };
            let path = if let Value::Text(path) = &entry.value
                && !path.is_empty()
            {
                PathBuf::from(path)
            } else {
                continue;
            };
            let origin = entry.origin.clone();
            match std::fs::read_to_string(&path) {
                Ok(text) if text.trim().is_empty() => {
                    self.problems.push(&origin, format!("{key}_file"), format!("{} is empty", path.display()));
                }
                Ok(text) => {
                    let shadowed = self
                        .entry(key)
                        .filter(|entry| entry.origin != Origin::Default)
                        .map(|entry| entry.origin.to_string());
                    if let Some(shadowed) = shadowed {
                        self.notices.push(format!("{key} is set by {shadowed} and by {key}_file; the file is used"));
                    }
                    self.set(key, Value::Text(text.trim().to_owned()), Origin::SecretFile(path));
                }
                Err(error) => {
                    let message = format!("{} can't be read: {error}", name_of_file(&path));
                    self.problems.push(&origin, format!("{key}_file"), message);
                }
            }
        }
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    fn set(&mut self, key: &str, value: Value, origin: Origin) {
        // "" means "not set": the layer below decides.
        if value == Value::Text(String::new()) {
            return;
        }
        let mut wrong = None;
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.key == key) {
            if value.same_kind(&entry.default) {
                entry.value = value;
                entry.origin = origin;
                return;
            }
            wrong = Some(value.kind());
        }
        if let Some(found) = wrong {
            self.refuse_kind(key, &origin, found);
        }
    }

    fn refuse_kind(&mut self, key: &str, origin: &Origin, found: &str) {
        let wanted = self.entry(key).map_or("something else", |entry| entry.default.kind());
        let example = match self.entry(key).map(|entry| &entry.default) {
            Some(Value::Text(text)) if !text.is_empty() => format!(", such as {text:?}"),
            _ => String::new(),
        };
        self.problems.push(origin, key, format!("expected {wanted}{example}; found {found}"));
    }

    fn refuse_unknown(&mut self, name: &str, what: &str, origin: &Origin) {
        let inside_table = FREE_TABLES.iter().find(|table| name.starts_with(&format!("{table}.")));
        if let Some(table) = inside_table {
            self.problems.push(
                origin,
                name,
                format!("{table} is set as a whole: {}='{{ \"name\" = \"what it allows\" }}'", env_name(table)),
            );
            return;
        }
        if self.sections().iter().any(|section| section == name) {
            self.problems.push(origin, name, format!("is a section, written [{name}], not a value"));
            return;
        }
        let known: Vec<String> = if what == "section" {
            self.sections()
        } else {
            self.entries.iter().map(|entry| entry.key.clone()).collect()
        };
        let hint = match closest(name, known.iter().map(String::as_str)) {
            Some(meant) if matches!(origin, Origin::Env(_)) => {
                format!("; did you mean {}?", env_name(meant))
            }
            Some(meant) => format!("; did you mean {meant}?"),
            None => String::new(),
        };
        self.problems.push(origin, name, format!("unknown {what}{hint}"));
    }

    /// The table names of the reference, dotted.
    fn sections(&self) -> Vec<String> {
        let mut sections: Vec<String> = Vec::new();
        for entry in &self.entries {
            let mut section = entry.key.as_str();
            while let Some((parent, _)) = section.rsplit_once('.') {
                if !sections.iter().any(|known| known == parent) {
                    sections.push(parent.to_owned());
                }
                section = parent;
            }
        }
        sections
    }

    /// The outermost table of `key` that doesn't exist.
    fn unknown_section(&self, key: &str) -> Option<String> {
        let sections = self.sections();
        let mut at = 0;
        while let Some(dot) = key.get(at..).and_then(|rest| rest.find('.')) {
            let section = key.get(..at + dot)?;
            if self.entry(section).is_some() {
                return None;
            }
            if !sections.iter().any(|known| known == section) {
                return Some(section.to_owned());
            }
            at += dot + 1;
        }
        None
    }
}

/// The variable that sets `key`.
pub(super) fn env_name(key: &str) -> String {
    format!("{ENV_PREFIX}{}", key.replace('.', "__").to_ascii_uppercase())
}

struct Leaf<'a> {
    key: String,
    value: &'a DeValue<'a>,
    /// Byte offset of the key in the text.
    position: usize,
}

fn flatten<'a>(prefix: &str, table: &'a DeTable<'a>, found: &mut Vec<Leaf<'a>>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
        match value.get_ref().as_table() {
            Some(inner) if !FREE_TABLES.contains(&key.as_str()) => flatten(&key, inner, found),
            _ => found.push(Leaf { key, value: value.get_ref(), position: name.span().start }),
        }
    }
}

/// The value as one of our kinds, or in words what it is instead.
fn convert(value: &DeValue<'_>) -> Result<Value, String> {
    let text = |item: &Spanned<DeValue<'_>>| {
        let item = item.get_ref();
        item.as_str().map(str::to_owned).ok_or_else(|| format!("{} inside", describe(item)))
    };
    match value {
        DeValue::String(text) => Ok(Value::Text(text.to_string())),
        DeValue::Boolean(flag) => Ok(Value::Flag(*flag)),
        DeValue::Integer(number) => i64::from_str_radix(&number.as_str().replace('_', ""), number.radix())
            .map(Value::Number)
            .map_err(|_| "a number out of range".to_owned()),
        DeValue::Array(items) => items.iter().map(text).collect::<Result<_, _>>().map(Value::List),
        DeValue::Table(items) => items
            .iter()
            .map(|(key, item)| Ok((key.get_ref().to_string(), text(item)?)))
            .collect::<Result<_, String>>()
            .map(Value::Table),
        DeValue::Float(_) | DeValue::Datetime(_) => Err(describe(value)),
    }
}

fn describe(value: &DeValue<'_>) -> String {
    let name: Cow<'static, str> = match value {
        DeValue::String(_) => "a text".into(),
        // Without its digits: a key written without quotes may be a number.
        DeValue::Integer(_) | DeValue::Float(_) => "a number".into(),
        DeValue::Boolean(flag) => flag.to_string().into(),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    };
    name.into_owned()
}

/// The value of a variable, read as the kind that its key has.
fn from_env(text: &str, like: &Value) -> Result<Value, String> {
    let trimmed = text.trim();
    match like {
        Value::Text(_) => Ok(Value::Text(text.to_owned())),
        Value::List(_) if !trimmed.starts_with('[') => Ok(Value::List(
            trimmed.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect(),
        )),
        Value::List(_) | Value::Number(_) | Value::Flag(_) | Value::Table(_) => {
            let parsed = DeValue::parse(trimmed).map_err(|_| format!("{text:?}"))?;
            convert(parsed.get_ref())
        }
    }
}

/// A path for a message. The secret itself, set in the place of a file's name, is not repeated: what is shown begins with
/// a folder that exists, or is shorter than any secret.
fn name_of_file(path: &Path) -> String {
    const SHORTEST_SECRET: usize = 16;
    let text = path.to_string_lossy();
    let folder = path.parent().and_then(|parent| parent.ancestors().filter(|own| *own != Path::new("")).last());
    // `/` exists always; what follows it tells a path from base64 with a slash in front.
    let below_root = path.is_absolute().then(|| path.iter().take(2).collect::<PathBuf>());
    let known = match below_root {
        Some(first) => first != path && first.exists(),
        None => folder.is_some_and(Path::exists),
    };
    if !text.contains("://") && (known || text.len() < SHORTEST_SECRET) {
        text.into_owned()
    } else {
        "the file that it should name (a secret itself belongs into the file, or under the key without _file)"
            .to_owned()
    }
}

fn line_of(text: &str, position: usize) -> usize {
    text.bytes().take(position).filter(|byte| *byte == b'\n').count() + 1
}

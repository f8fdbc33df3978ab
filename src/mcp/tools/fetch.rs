//! `fetch`: one document, in the exact shape that ChatGPT's deep research asks for (C-05).

use oauth::time::Timestamp;
use rmcp::model::{CallToolResult, JsonObject};
use serde_json::{Value, json};

use super::{Definition, Kind, failure, text_argument};
use crate::library::{Document, Library};
use crate::mcp::answer::cut;

/// The most characters of a document that are given: clients drop results that are longer than about 150 000
/// characters as a whole (C-12), and most of a long document is better than none.
const MAX_CHARACTERS: usize = 100_000;

pub(super) fn definition() -> Definition {
    let text = || json!({ "type": "string" });
    Definition {
        kind: Kind::Fetch,
        title: "Fetch a document",
        description: "Gives the whole text of one document by its id, as `search` lists it.",
        input: json!({
            "type": "object",
            "properties": {
                "id": { "type": "string", "minLength": 1, "description": "The id of a result of `search`." },
            },
            "required": ["id"],
        }),
        output: json!({
            "type": "object",
            "properties": {
                "id": text(),
                "title": text(),
                "text": text(),
                "url": text(),
                "metadata": { "type": "object", "additionalProperties": text() },
            },
            "required": ["id", "title", "text", "url"],
        }),
        meta: JsonObject::new(),
    }
}

pub(super) fn call(library: &Library, arguments: &JsonObject) -> CallToolResult {
    let id = match text_argument(arguments, "id", "getting-started.md") {
        Ok(id) => id,
        Err(failure) => return failure,
    };
    match library.get(id) {
        Some(document) => CallToolResult::structured(in_shape(&document)),
        None => failure(format!(
            "There is no document with the id {:?}. Call `search` and use an id of its results exactly as it stands there.",
            cut(id, 200)
        )),
    }
}

fn in_shape(document: &Document) -> Value {
    let shown = cut(&document.text, MAX_CHARACTERS);
    let text = if shown.len() < document.text.len() {
        format!("{shown}\n\n[Cut after {MAX_CHARACTERS} characters. The whole document: {}]", document.url)
    } else {
        shown.to_owned()
    };
    let mut shape = json!({ "id": document.id, "title": document.title, "text": text, "url": document.url });
    if let (Some(shape), Some(modified)) = (shape.as_object_mut(), document.modified) {
        shape.insert("metadata".into(), json!({ "modified": date(modified) }));
    }
    shape
}

/// The day of a moment in UTC, `YYYY-MM-DD` (RFC 3339 §5.6). The civil calendar from a count of days, after
/// Howard Hinnant's `civil_from_days`: eras of 400 years that begin in March.
fn date(moment: Timestamp) -> String {
    let days = moment.0.div_euclid(86_400) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use oauth::time::Timestamp;

    use super::date;

    #[test]
    fn dates_follow_the_calendar() {
        for (seconds, wanted) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_709_164_800, "2024-02-29"),
            (1_785_196_800, "2026-07-28"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(date(Timestamp(seconds)), wanted);
        }
    }
}

//! The product's own manual, built into the program: what the library holds until a folder is configured, and pages for
//! everybody below `paths.docs`.

use std::collections::HashMap;
use std::sync::LazyLock;

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

/// The pages: their ids and texts.
pub(crate) const PAGES: &[(&str, &str)] = &[
    ("admin-api.md", include_str!("../docs/manual/admin-api.md")),
    ("chatgpt.md", include_str!("../docs/manual/chatgpt.md")),
    ("claude.md", include_str!("../docs/manual/claude.md")),
    ("clients.md", include_str!("../docs/manual/clients.md")),
    ("commands.md", include_str!("../docs/manual/commands.md")),
    ("configuration.md", include_str!("../docs/manual/configuration.md")),
    ("doctor.md", include_str!("../docs/manual/doctor.md")),
    ("getting-started.md", include_str!("../docs/manual/getting-started.md")),
    (INDEX, include_str!("../docs/manual/index.md")),
    ("insomnia.md", include_str!("../docs/manual/insomnia.md")),
    ("operations.md", include_str!("../docs/manual/operations.md")),
    ("production.md", include_str!("../docs/manual/production.md")),
    ("scopes-and-tools.md", include_str!("../docs/manual/scopes-and-tools.md")),
    ("simulate.md", include_str!("../docs/manual/simulate.md")),
    ("tokens-and-sessions.md", include_str!("../docs/manual/tokens-and-sessions.md")),
    ("troubleshooting.md", include_str!("../docs/manual/troubleshooting.md")),
    ("verify-tokens.md", include_str!("../docs/manual/verify-tokens.md")),
];

/// The page that lists the others, in the order in which they are read.
pub(crate) const INDEX: &str = "index.md";

/// A page, ready to be shown.
#[derive(Debug)]
pub(crate) struct ManualPage {
    pub(crate) title: String,
    /// The body without its title, as HTML of ours.
    pub(crate) html: String,
    /// Address and title of the pages before and after it in the index.
    pub(crate) previous: Option<(String, String)>,
    pub(crate) next: Option<(String, String)>,
}

static RENDERED: LazyLock<HashMap<&'static str, ManualPage>> = LazyLock::new(|| {
    let titles: HashMap<&str, String> = PAGES.iter().map(|(id, text)| (*id, title_of(text))).collect();
    let order = linked(PAGES.iter().find(|(id, _)| *id == INDEX).map_or("", |(_, text)| text));
    let at = |place: Option<usize>| {
        let id = order.get(place?)?;
        Some((address_of(id), titles.get(id.as_str())?.clone()))
    };
    PAGES
        .iter()
        .map(|(id, text)| {
            let place = order.iter().position(|own| own == id);
            let page = ManualPage {
                title: title_of(text),
                html: to_html(text, &title_of(text), true),
                previous: at(place.and_then(|place| place.checked_sub(1))),
                next: at(place.map(|place| place + 1)),
            };
            (*id, page)
        })
        .collect()
});

/// Where the index is: below `paths.docs`, where the documents are, whose names all end in what they are. With a slash at its end, so that links
/// between pages are relative.
pub(crate) fn address(docs: &str) -> String {
    format!("{docs}/manual/")
}

/// The page of this name, with or without `.md`.
pub(crate) fn page(name: &str) -> Option<&'static ManualPage> {
    RENDERED.get(name).or_else(|| RENDERED.get(format!("{name}.md").as_str()))
}

/// Markdown (`CommonMark` with tables) as HTML. HTML in it is shown as text; every heading has an id by which it can be
/// linked, made as code hosts make it. A first heading that says the title is left out: the page has it already. With
/// `as_pages`, links to other pages lead to their addresses here.
pub(crate) fn to_html(markdown: &str, title: &str, as_pages: bool) -> String {
    let mut events: Vec<Event<'_>> = Parser::new_ext(markdown, Options::ENABLE_TABLES).collect();
    if let [Event::Start(Tag::Heading { .. }), ..] = events.as_slice()
        && let Some(end) = events.iter().position(is_heading_end)
        && words_of(events.get(..end).unwrap_or_default()) == title
    {
        events.drain(..=end);
    }
    for event in &mut events {
        if let Event::Html(text) | Event::InlineHtml(text) = event {
            *event = Event::Text(std::mem::replace(text, CowStr::Borrowed("")));
        } else if let Event::Start(Tag::Link { dest_url, .. }) = event {
            if !may_be_followed(dest_url) {
                *dest_url = CowStr::Borrowed("#");
            } else if as_pages {
                *dest_url = CowStr::from(address_of(dest_url));
            }
        }
    }
    // Pages load nothing from elsewhere; the words that stand for a picture stay.
    events.retain(|event| !matches!(event, Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image)));
    name_headings(&mut events);
    let mut html = String::new();
    html::push_html(&mut html, events.into_iter());
    html
}

/// Whether a link leads to a page or a mailbox: nothing that runs, and nothing that brings its own content.
fn may_be_followed(link: &str) -> bool {
    match url::Url::parse(link) {
        Ok(url) => matches!(url.scheme(), "http" | "https" | "mailto"),
        Err(error) => error == url::ParseError::RelativeUrlWithoutBase,
    }
}

fn is_heading_end(event: &Event<'_>) -> bool {
    matches!(event, Event::End(TagEnd::Heading(_)))
}

fn words_of(events: &[Event<'_>]) -> String {
    let mut words = String::new();
    for event in events {
        if let Event::Text(text) | Event::Code(text) = event {
            words.push_str(text);
        }
    }
    words
}

fn name_headings(events: &mut [Event<'_>]) {
    let mut taken: HashMap<String, usize> = HashMap::new();
    let mut rest = events;
    while let Some((first, after)) = rest.split_first_mut() {
        if let Event::Start(Tag::Heading { id, .. }) = first {
            let end = after.iter().position(is_heading_end).unwrap_or_default();
            let anchor = anchor_of(&words_of(after.get(..end).unwrap_or_default()));
            let count = taken.entry(anchor.clone()).or_default();
            *id = Some(CowStr::from(if *count == 0 { anchor } else { format!("{anchor}-{count}") }));
            *count += 1;
        }
        rest = after;
    }
}

fn anchor_of(heading: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | ' ');
    heading.to_lowercase().chars().filter(|c| kept(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// `clients.md#add` is `clients#add` here; addresses elsewhere stay.
fn address_of(link: &str) -> String {
    let (page, anchor) = link.split_once('#').map_or((link, None), |(page, anchor)| (page, Some(anchor)));
    let page = match page.strip_suffix(".md") {
        Some("index") => "./",
        Some(name) if !page.contains("//") => name,
        Some(_) | None => page,
    };
    anchor.map_or_else(|| page.to_owned(), |anchor| format!("{page}#{anchor}"))
}

fn title_of(markdown: &str) -> String {
    markdown.lines().next().unwrap_or_default().trim_start_matches('#').trim().to_owned()
}

/// The pages that a page links to, in its order.
fn linked(markdown: &str) -> Vec<String> {
    let mut pages = Vec::new();
    for event in Parser::new(markdown) {
        if let Event::Start(Tag::Link { dest_url, .. }) = event
            && !dest_url.contains("//")
        {
            pages.push(dest_url.to_string());
        }
    }
    pages
}

#[cfg(test)]
mod tests {
    use super::{INDEX, PAGES, linked, page, to_html};

    /// A page that nobody lists would be written for nobody.
    #[test]
    fn every_page_of_the_manual_is_built_in_and_in_the_index() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/manual");
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.to_ascii_lowercase().ends_with(".md"))
            .collect();
        names.sort();
        assert_eq!(names, PAGES.iter().map(|(id, _)| *id).collect::<Vec<_>>());
        let (_, index) = PAGES.iter().find(|(id, _)| *id == INDEX).unwrap();
        let mut listed = linked(index);
        assert_eq!(page(listed.first().unwrap()).unwrap().previous, None);
        assert!(page(listed.last().unwrap()).unwrap().next.is_none());
        listed.push(INDEX.to_owned());
        listed.sort();
        assert_eq!(listed, names, "each page once");
    }

    /// Whoever writes a document in the operator's folder writes no page of this server.
    #[test]
    fn html_in_a_document_is_text() {
        let html = to_html("# T\n\n<script>alert(1)</script>\n\na <b>b</b>\n\n## A `b` C?\n\n[x](y.md#z)", "T", true);
        assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
        assert!(html.contains("&lt;script&gt;") && html.contains("<h2 id=\"a-b-c\">"), "{html}");
        assert!(html.contains("href=\"y#z\"") && !html.contains("<h1"), "{html}");
        for link in ["javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc"] {
            let html = to_html(&format!("[x]({link}) <{link}>"), "T", false);
            assert!(!html.to_lowercase().contains(&format!("href=\"{}", link.to_lowercase())), "{html}");
        }
        let picture = to_html("![a *plan*](https://x.example/p.png)", "T", false);
        assert!(!picture.contains("<img") && picture.contains("plan"), "{picture}");
        let kept = to_html("# Other\n\n[x](y.md#z)", "T", false);
        assert!(kept.contains("href=\"y.md#z\"") && kept.contains("<h1 id=\"other\">"), "{kept}");
    }
}

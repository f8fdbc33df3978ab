//! The product's own manual, built into the program: what the library holds until a folder is configured.

/// The pages: their ids and texts.
pub(super) const PAGES: &[(&str, &str)] = &[
    ("admin-api.md", include_str!("../../docs/manual/admin-api.md")),
    ("chatgpt.md", include_str!("../../docs/manual/chatgpt.md")),
    ("claude.md", include_str!("../../docs/manual/claude.md")),
    ("clients.md", include_str!("../../docs/manual/clients.md")),
    ("configuration.md", include_str!("../../docs/manual/configuration.md")),
    ("doctor.md", include_str!("../../docs/manual/doctor.md")),
    ("getting-started.md", include_str!("../../docs/manual/getting-started.md")),
    ("insomnia.md", include_str!("../../docs/manual/insomnia.md")),
    ("operations.md", include_str!("../../docs/manual/operations.md")),
    ("production.md", include_str!("../../docs/manual/production.md")),
    ("scopes-and-tools.md", include_str!("../../docs/manual/scopes-and-tools.md")),
    ("simulate.md", include_str!("../../docs/manual/simulate.md")),
    ("tokens-and-sessions.md", include_str!("../../docs/manual/tokens-and-sessions.md")),
    ("troubleshooting.md", include_str!("../../docs/manual/troubleshooting.md")),
];

#[cfg(test)]
mod tests {
    use super::PAGES;

    /// A page that nobody lists would be written for nobody.
    #[test]
    fn every_page_of_the_manual_is_built_in() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/manual");
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.to_ascii_lowercase().ends_with(".md"))
            .collect();
        names.sort();
        assert_eq!(names, PAGES.iter().map(|(id, _)| *id).collect::<Vec<_>>());
    }
}

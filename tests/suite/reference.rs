//! The commands as others read them: the page of the manual, `man`, and the shells.

use std::path::Path;
use std::process::Command;

use clap_markdown::{MarkdownOptions, help_markdown_command_custom};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/manual/commands.md");

fn run(arguments: &[&str]) -> String {
    let done = Command::new(env!("CARGO_BIN_EXE_portcullis")).args(arguments).output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// The page is made from what `--help` is made from. With `UPDATE_REFERENCE=1` this test writes it.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test has no settings")]
fn the_page_of_commands_is_up_to_date() {
    let options = MarkdownOptions::new().title("Commands".to_owned()).show_footer(false);
    let made = help_markdown_command_custom(&portcullis::cli::commands(), &options);
    let made = format!("{}\n", made.trim_end());
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(PAGE, &made).unwrap();
    }
    let written = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        written == made,
        "docs/manual/commands.md is out of date: UPDATE_REFERENCE=1 cargo test --test suite -- reference"
    );
}

#[test]
fn shells_complete_the_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = run(&["completions", shell]);
        for word in ["attempts", "rotate-secret", "assume-public"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = std::env::temp_dir().join(format!("portcullis_man_{}", crate::server::unique()));
    run(&["man", folder.to_str().unwrap()]);
    check(&portcullis::cli::commands(), "portcullis", &folder);
    std::fs::remove_dir_all(folder).unwrap();
}

fn check(command: &clap::Command, name: &str, folder: &Path) {
    let page =
        std::fs::read_to_string(folder.join(format!("{name}.1"))).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(page.contains(".SH SYNOPSIS"), "{page}");
    for own in command.get_subcommands() {
        check(own, &format!("{name}-{}", own.get_name()), folder);
    }
}

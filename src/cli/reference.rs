//! `completions` and `man`: the commands for shells and for `man`, from the same source as `--help`.

use std::path::Path;

use clap_complete::Shell;

use super::{CliError, commands, say};

pub(super) fn completions(shell: Shell) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut commands(), "portcullis", &mut script);
    say(String::from_utf8_lossy(&script).trim_end())
}

pub(super) fn man(folder: &Path) -> Result<(), CliError> {
    let failed = |source| CliError::Write { path: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(commands(), folder).map_err(failed)?;
    say(&format!("The manual pages are in {}.", folder.display()))
}

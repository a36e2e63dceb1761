//! `manual`: the manual pages, made from the definition of the command line, for packages.

use std::fs;
use std::io;
use std::path::Path;

use clap_mangen::Man;

use crate::cli::config::help;

/// Writes a page for the program and one for each command into `directory`.
pub(super) fn write(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let mut whole = help::definition(false);
    whole.build();
    let commands: Vec<_> = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    page(directory, "codex-proxy", whole)?;
    for command in commands.into_iter().filter(|command| command.get_name() != "help") {
        let name = format!("codex-proxy-{}", command.get_name());
        // A page is called by the name of its definition.
        page(directory, &name, command.clone().name(name.clone()))?;
    }
    Ok(())
}

fn page(directory: &Path, name: &str, command: clap::Command) -> io::Result<()> {
    let mut text = Vec::new();
    Man::new(command).render(&mut text)?;
    fs::write(directory.join(format!("{name}.1")), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_that_help_shows_has_a_page() {
        let directory = tempfile::tempdir().expect("a directory");
        write(directory.path()).expect("written");
        let page = |name: &str| fs::read_to_string(directory.path().join(name)).expect("a page");
        assert!(page("codex-proxy.1").contains(".TH codex-proxy 1") && page("codex-proxy.1").contains("Examples:"));
        assert!(page("codex-proxy-login.1").contains("\\-\\-device"));
        assert!(page("codex-proxy-service.1").contains("install"));
        assert!(!directory.path().join("codex-proxy-manual.1").exists());
    }
}

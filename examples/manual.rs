//! The manual pages, made from the definition of the command line: `cargo run --example manual -- DIRECTORY`.
//!
//! A page for the program, and one for each command that its help shows. Packages have them; the program itself needs none.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;
use codex_proxy::cli::config::help;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).map(PathBuf::from).ok_or("the directory is missing")?;
    fs::create_dir_all(&directory)?;
    let mut whole = help::definition(false);
    whole.build();
    let commands: Vec<_> = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    write_page(&directory, "codex-proxy", whole)?;
    for command in commands.into_iter().filter(|command| command.get_name() != "help") {
        let name = format!("codex-proxy-{}", command.get_name());
        // A page is called by the name of its definition.
        write_page(&directory, &name, command.clone().name(name.clone()))?;
    }
    Ok(())
}

fn write_page(directory: &Path, name: &str, command: Command) -> io::Result<()> {
    let mut text = Vec::new();
    Man::new(command).render(&mut text)?;
    fs::write(directory.join(format!("{name}.1")), text)
}

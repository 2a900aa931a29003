//! `peerd completions` and `peerd man`: what shells and `man` want to know, made of the command line itself.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::Shell;

use super::{Global, command, fail, say_aside};
use crate::exit::Exit;

/// Print what your shell needs to complete commands and options.
#[derive(Debug, Args)]
#[command(after_help = INSTALL)]
pub(super) struct Completions {
    /// The shell it is for
    shell: Shell,
}

const INSTALL: &str = "\
Where it goes:
  bash   peerd completions bash > ~/.local/share/bash-completion/completions/peerd
  zsh    peerd completions zsh > ~/.zfunc/_peerd            (with ~/.zfunc in fpath)
  fish   peerd completions fish > ~/.config/fish/completions/peerd.fish";

impl Completions {
    pub(super) fn run(self) -> Exit {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command(), "peerd", &mut script);
        print(&script)
    }
}

/// Print the manual page, or write the pages of all commands.
#[derive(Debug, Args)]
#[command(after_help = "Read it with: peerd man | man -l -")]
pub(super) struct Man {
    /// Write peerd.1 and a page for each command into this directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self, global: &Global) -> Exit {
        let Some(dir) = self.out else {
            let mut page = Vec::new();
            return match clap_mangen::Man::new(command()).render(&mut page) {
                Ok(()) => print(&page),
                Err(error) => fail(Exit::General, error),
            };
        };
        match write_pages(&dir) {
            Ok(()) => {
                say_aside(global, &format!("wrote the pages; read one with: man {}/peerd.1", dir.display()))
            }
            Err(error) => fail(Exit::LocalIo, format_args!("cannot write to {}: {error}", dir.display())),
        }
    }
}

fn write_pages(dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(command(), dir)
}

/// Prints as it is. A reader that has gone (`| head`) is not an error of ours.
fn print(bytes: &[u8]) -> Exit {
    let _ = std::io::stdout().write_all(bytes);
    Exit::Done
}

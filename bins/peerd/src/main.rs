//! The `peerd` program: hands its arguments to the library and exits with what it says.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    peerd::cli::main()
}

//! The `peerd` program: hands its arguments to the library and exits with what it says.

use std::process::ExitCode;

fn main() -> ExitCode {
    peerd::cli::main()
}

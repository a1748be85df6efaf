//! The program `ringway`: see the library beside it.

fn main() -> std::process::ExitCode {
    ringway_cli::main()
}

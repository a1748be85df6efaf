//! The command line as a whole; each subcommand's own flags stand in its file.

use clap::{Args, Parser, Subcommand};

use crate::{check, completions, dev, forward, token, top};

/// Where the control plane listens unless told otherwise.
pub(crate) const DEFAULT_PORT: u16 = 7880;

const EXAMPLES: &str = "\
Examples:
  ringway dev                                  start everything on this machine
  ringway forward add --listen 5004 --to 127.0.0.1:6000 --to [::1]:7000,contiguous
  ringway forward list
  ringway top                                  watch the shards
  ringway check                                is this machine fit? what to change?
  ringway token --ingress --valid-for 1h       a token for the HTTP API
  source <(ringway completions bash)";

/// Steers and watches a Ringway appliance.
#[derive(Debug, Parser)]
#[command(name = "ringway", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every subcommand takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Print JSON for programs instead of text for people
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Address of the control plane
    #[arg(
        long,
        global = true,
        env = "RINGWAY_URL",
        default_value = "http://127.0.0.1:7880",
        value_name = "URL"
    )]
    pub(crate) url: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Dev(dev::DevArgs),
    Check(check::CheckArgs),
    Top(top::TopArgs),
    Token(token::TokenArgs),
    Forward(forward::ForwardArgs),
    Completions(completions::CompletionsArgs),
    /// Print the version
    Version,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_that_takes_flags_shows_examples() {
        fn visit(command: &clap::Command, path: &str) {
            for child in command.get_subcommands().filter(|c| c.get_name() != "help") {
                let path = format!("{path} {}", child.get_name());
                let has_flags = child.get_arguments().any(|a| !a.is_global_set());
                if has_flags && child.get_subcommands().next().is_none() {
                    let help = child.get_after_help().map(ToString::to_string).unwrap_or_default();
                    assert!(help.contains("ringway "), "{path} has no example");
                }
                assert!(child.get_about().is_some(), "{path} does not say what it does");
                visit(child, &path);
            }
        }
        visit(&Cli::command(), "ringway");
    }

    #[track_caller]
    fn check(line: &str, accepted: bool) {
        let words = line.split_whitespace();
        assert_eq!(Cli::try_parse_from(words).is_ok(), accepted, "{line}");
    }

    #[test]
    fn lines() {
        check("ringway version", true);
        check("ringway version --json", true);
        check("ringway --json forward list", true);
        check("ringway forward list --url http://10.0.0.1:7880 --json", true);
        check("ringway forward add --listen 5004 --to 127.0.0.1:6000 --to [::1]:7000,mux", true);
        check("ringway forward add --listen nowhere", false);
        check("ringway forward add --to 127.0.0.1", false);
        check("ringway forward add-destination FW_123456789012 --to 127.0.0.1:1", true);
        check("ringway forward add-destination FW_123456789012", false);
        check("ringway forward update studio --source any --ssrc any --json", true);
        check("ringway forward update studio", false);
        check("ringway forward update --source any", false);
        check("ringway forward update-destination studio FD_123456789012 --pt keep", true);
        check("ringway forward update-destination studio FD_123456789012", false);
        check("ringway token --join --identity a --room r --valid-for 24h", true);
        check("ringway token --join --identity a --valid-for soon", false);
        check("ringway token --ingress-admin", true);
        check("ringway dev --port 7881 --cores 1,2 --engine plain", true);
        check("ringway dev --cores one", false);
        check("ringway dev --engine fast", false);
        check("ringway completions bash", true);
        check("ringway completions tcsh", false);
        check("ringway top --once --json", true);
        check("ringway", false);
        check("ringway frobnicate", false);
    }
}

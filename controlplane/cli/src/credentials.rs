//! Whose key signs: flags, environment, or a development server on this machine.

use clap::Args;

use crate::dev::layout::{DEVELOPMENT_KEY, DEVELOPMENT_SECRET, DevDirs};
use crate::{client, usage};

/// An API key and its secret.
#[derive(Debug, Args)]
pub(crate) struct CredentialArgs {
    /// API key; also from LIVEKIT_API_KEY
    #[arg(long, env = "RINGWAY_API_KEY", value_name = "KEY")]
    api_key: Option<String>,
    /// Secret of the API key; also from LIVEKIT_API_SECRET
    #[arg(long, env = "RINGWAY_API_SECRET", value_name = "SECRET", hide_env_values = true)]
    api_secret: Option<String>,
    /// Use the key of `ringway dev`; needless while it runs on this machine
    #[arg(long, conflicts_with_all = ["api_key", "api_secret"])]
    dev: bool,
}

/// A key and its secret, ready to sign with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) key: String,
    pub(crate) secret: String,
}

impl CredentialArgs {
    /// The credentials for the server at `url`.
    pub(crate) fn resolve(&self, url: &str) -> anyhow::Result<Credentials> {
        let variable = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        let livekit = (variable("LIVEKIT_API_KEY"), variable("LIVEKIT_API_SECRET"));
        let dev_runs =
            || client::loopback_port(url).is_some_and(|port| DevDirs::of_port(port).is_in_use());
        self.choose(livekit, dev_runs)
    }

    fn choose(
        &self,
        livekit: (Option<String>, Option<String>),
        dev_runs: impl Fn() -> bool,
    ) -> anyhow::Result<Credentials> {
        let given = (self.api_key.clone(), self.api_secret.clone());
        for (key, secret) in [given, livekit] {
            match (key, secret) {
                (Some(key), Some(secret)) => return Ok(Credentials { key, secret }),
                (None, None) if self.dev => break,
                (None, None) => {}
                (Some(_), None) => return Err(usage("an API key needs its --api-secret")),
                (None, Some(_)) => return Err(usage("an API secret needs its --api-key")),
            }
        }
        if self.dev || dev_runs() {
            return Ok(Credentials {
                key: DEVELOPMENT_KEY.to_owned(),
                secret: DEVELOPMENT_SECRET.to_owned(),
            });
        }
        Err(usage(
            "no API key: set RINGWAY_API_KEY and RINGWAY_API_SECRET, give --api-key and \
             --api-secret, or --dev for a server started by `ringway dev`",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pair<'a> = (Option<&'a str>, Option<&'a str>);

    #[track_caller]
    fn check(given: Pair, livekit: Pair, dev: bool, dev_runs: bool, expect: Option<&str>) {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let args = CredentialArgs { api_key: owned(given.0), api_secret: owned(given.1), dev };
        let got = args.choose((owned(livekit.0), owned(livekit.1)), || dev_runs);
        assert_eq!(got.ok().map(|c| c.key).as_deref(), expect);
    }

    #[test]
    fn precedence() {
        let none = (None, None);
        let flags = (Some("flag"), Some("s"));
        let livekit = (Some("livekit"), Some("s"));
        check(flags, livekit, false, true, Some("flag"));
        check(none, livekit, false, true, Some("livekit"));
        check(none, livekit, true, false, Some(DEVELOPMENT_KEY));
        check(none, none, false, true, Some(DEVELOPMENT_KEY));
        check(none, none, true, false, Some(DEVELOPMENT_KEY));
        check(none, none, false, false, None);
        check((Some("flag"), None), livekit, false, true, None);
        check((None, Some("s")), none, false, true, None);
    }
}

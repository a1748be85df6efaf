//! `ringway token`: makes an access token. Nothing is sent anywhere.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Args, ValueEnum};

use crate::args::Global;
use crate::claims::Claims;
use crate::credentials::CredentialArgs;
use crate::{duration, output, usage};

/// Shorter secrets can be guessed; the server says so too.
const SECRET_CHARS_MIN: usize = 32;

/// Make an access token (LiveKit-style JWT, HS256)
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ringway token --ingress --valid-for 1h
  ringway token --join --room studio --identity alice --name Alice
  ringway token --create --list --admin --room studio --json
  curl -H \"Authorization: Bearer $(ringway token --ingress)\" http://127.0.0.1:7880/v1/forwards")]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    credentials: CredentialArgs,
    /// Identity of the participant, unique in a room
    #[arg(long, short)]
    identity: Option<String>,
    /// Name of the participant, shown to others
    #[arg(long, short)]
    name: Option<String>,
    /// The room that the token is for
    #[arg(long, short)]
    room: Option<String>,
    /// How long the token is valid (90s, 30m, 24h, 7d)
    #[arg(long, default_value = "24h", value_name = "DURATION", value_parser = duration::parse)]
    valid_for: Duration,
    /// Free text attached to the participant
    #[arg(long)]
    metadata: Option<String>,
    /// Attribute of the participant; may be repeated
    #[arg(long = "attribute", value_name = "KEY=VALUE", value_parser = pair)]
    attributes: Vec<(String, String)>,
    /// Kind of participant
    #[arg(long, value_enum, default_value_t = Kind::Standard)]
    kind: Kind,
    #[command(flatten)]
    grants: GrantArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct GrantArgs {
    /// May join the room
    #[arg(long, requires = "identity")]
    join: bool,
    /// May create and delete rooms
    #[arg(long)]
    create: bool,
    /// May list rooms
    #[arg(long)]
    list: bool,
    /// May moderate the room
    #[arg(long, requires = "room")]
    admin: bool,
    /// May record
    #[arg(long)]
    record: bool,
    /// May manage ingress and forwards: what /v1/forwards asks for
    #[arg(long, alias = "ingress-admin")]
    ingress: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Standard,
    Ingress,
    Egress,
    Sip,
    Agent,
    Connector,
    Bridge,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

pub(crate) fn run(args: &TokenArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let credentials = args.credentials.resolve(&global.url)?;
    if credentials.secret.chars().count() < SECRET_CHARS_MIN {
        output::remark("the API secret is shorter than 32 characters and can be guessed");
    }
    if args.valid_for < Duration::from_secs(1) {
        return Err(usage("--valid-for must be at least 1s"));
    }
    let claims = claims(args, &credentials.key, SystemTime::now());
    let token = claims.sign(&credentials.secret)?;
    if global.json {
        output::print_json(&serde_json::json!({ "token": token, "claims": claims }))?;
    } else {
        output::print(&token)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn claims(args: &TokenArgs, key: &str, now: SystemTime) -> Claims {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut claims = Claims::new(key, now, args.valid_for);
    claims.sub = text(&args.identity);
    claims.name = text(&args.name);
    claims.metadata = text(&args.metadata);
    claims.attributes = args.attributes.iter().cloned().collect();
    if args.kind != Kind::Standard {
        let kind = args.kind.to_possible_value();
        claims.kind = kind.map(|kind| kind.get_name().to_owned()).unwrap_or_default();
    }
    claims.video.room = text(&args.room);
    claims.video.room_join = args.grants.join;
    claims.video.room_create = args.grants.create;
    claims.video.room_list = args.grants.list;
    claims.video.room_admin = args.grants.admin;
    claims.video.room_record = args.grants.record;
    claims.video.ingress_admin = args.grants.ingress;
    claims
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: TokenArgs,
    }

    #[track_caller]
    fn check(flags: &str, expect: Option<&str>) {
        let words = ["token"].into_iter().chain(flags.split_whitespace());
        let got = Line::try_parse_from(words).ok().map(|line| {
            serde_json::to_string(&claims(&line.args, "k", SystemTime::UNIX_EPOCH)).unwrap()
        });
        assert_eq!(got.as_deref(), expect, "{flags}");
    }

    #[test]
    fn flags_become_claims() {
        check(
            "--ingress --valid-for 1h",
            Some(r#"{"exp":3600,"nbf":0,"iss":"k","video":{"ingressAdmin":true}}"#),
        );
        check(
            "--join --identity a --name A --room r --metadata m --attribute x=1=2 --kind sip",
            Some(concat!(
                r#"{"exp":86400,"nbf":0,"iss":"k","sub":"a","name":"A","kind":"sip","#,
                r#""metadata":"m","attributes":{"x":"1=2"},"#,
                r#""video":{"roomJoin":true,"room":"r"}}"#
            )),
        );
        check(
            "--create --list --record --admin --room r",
            Some(concat!(
                r#"{"exp":86400,"nbf":0,"iss":"k","video":{"roomCreate":true,"#,
                r#""roomList":true,"roomRecord":true,"roomAdmin":true,"room":"r"}}"#
            )),
        );
        check("--join", None);
        check("--admin", None);
        check("", None);
        check("--identity a", None);
        check("--list --attribute x", None);
    }
}

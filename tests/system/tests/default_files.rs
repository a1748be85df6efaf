//! The default files and the manuals say what the programs really know.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ringway_system::program::binary;
use ringway_tidy::rules::commands::SUBCOMMANDS;
use ringway_tidy::rules::configuration::key_paths;

fn default_file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(binary(program)).args(arguments).output().expect("the program starts")
}

fn print_config(program: &str, file: &Path) -> String {
    let output = run(program, &["--config", &file.display().to_string(), "--print-config"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} refuses its default file: {errors}");
    String::from_utf8(output.stdout).expect("settings are text")
}

/// Keys that a person chooses stand below these: no two files have the same.
const FREE: &[&str] = &["keys"];

#[test]
fn default_files_list_every_key() {
    let folder = tempfile::tempdir().expect("a temp folder");
    for (program, name) in
        [("ringway-dataplane", "dataplane.yaml"), ("ringway-controlplane", "controlplane.yaml")]
    {
        // The key file is made at installation; what matters here are the names of the keys.
        let text = default_file(name);
        let usable = text.replace(
            "key_file: /etc/ringway/keys.yaml",
            "keys: {APIdefault: \"a-secret-for-tests-of-at-least-32-characters\"}",
        );
        let file: PathBuf = folder.path().join(name);
        fs::write(&file, usable).expect("write a configuration file");
        let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&file, owner_only).expect("restrict a configuration file");

        let known = key_paths(&print_config(program, &file));
        let listed = key_paths(&text);
        let free = |key: &String| FREE.iter().any(|free| key.starts_with(&format!("{free}.")));
        let missing: Vec<&String> =
            known.iter().filter(|key| !listed.contains(key) && !free(key)).collect();
        assert!(missing.is_empty(), "systemd/{name} does not list {missing:?}");
    }
}

#[test]
fn default_settings_are_the_defaults() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let empty = folder.path().join("empty.yaml");
    fs::write(&empty, "log: info\n").expect("write a configuration file");
    let listed = folder.path().join("dataplane.yaml");
    fs::write(&listed, default_file("dataplane.yaml")).expect("write a configuration file");
    let program = "ringway-dataplane";
    assert_eq!(print_config(program, &listed), print_config(program, &empty));
}

#[test]
fn every_subcommand_of_the_manuals_exists() {
    for name in SUBCOMMANDS.iter().filter(|name| **name != "help") {
        let mut arguments: Vec<&str> = name.split(' ').collect();
        arguments.push("--help");
        let output = run("ringway", &arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ringway {name} --help: {errors}");
    }
}

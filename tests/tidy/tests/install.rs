//! `make install` and `make uninstall` do what they say, into a folder of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What is installed for `PREFIX=/usr/local`, from the top of the target system.
const INSTALLED: &[&str] = &[
    "etc/ringway/controlplane.yaml",
    "etc/ringway/dataplane.yaml",
    "usr/local/bin/ringway",
    "usr/local/bin/ringway-controlplane",
    "usr/local/bin/ringway-dataplane",
    "usr/local/lib/sysctl.d/60-ringway.conf",
    "usr/local/lib/systemd/system/ringway-controlplane.service",
    "usr/local/lib/systemd/system/ringway-dataplane.service",
    "usr/local/lib/systemd/system/ringway.target",
    "usr/local/lib/sysusers.d/ringway.conf",
    "usr/local/lib/tmpfiles.d/ringway.conf",
    "usr/local/share/bash-completion/completions/ringway",
    "usr/local/share/fish/vendor_completions.d/ringway.fish",
    "usr/local/share/zsh/site-functions/_ringway",
];

struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    /// A place to install to, and programs that need not work to be installed.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temp folder");
        let programs = folder.path().join("built");
        fs::create_dir(&programs).expect("create a folder");
        for name in ["ringway", "ringway-dataplane", "ringway-controlplane"] {
            let path = programs.join(name);
            fs::write(&path, "#!/bin/sh\necho \"$1 for $2\"\n").expect("write a program");
            let executable = PermissionsExt::from_mode(0o755);
            fs::set_permissions(&path, executable).expect("make a program executable");
        }
        Self { folder }
    }

    fn make(&self, arguments: &[&str]) -> Output {
        let output = Command::new("make")
            .arg("--no-print-directory")
            .args(arguments)
            .arg(format!("DESTDIR={}", self.root().display()))
            .arg(format!("BIN_DIR={}", self.folder.path().join("built").display()))
            .env_remove("MAKEFLAGS")
            .env_remove("PREFIX")
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
            .output()
            .expect("make starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "make {arguments:?}: {errors}");
        output
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        let mut folders = vec![self.root()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let below = path.strip_prefix(self.root()).expect("below the root");
                    files.push(below.display().to_string());
                }
            }
        }
        files.sort();
        files
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).expect("an installed file")
    }
}

#[test]
fn what_is_installed_is_uninstalled() {
    let site = Site::new();
    site.make(&["install"]);
    assert_eq!(site.files(), INSTALLED);
    let completions = site.read("usr/local/share/zsh/site-functions/_ringway");
    assert_eq!(completions, "completions for zsh\n");
    site.make(&["install"]);
    assert_eq!(site.files(), INSTALLED, "installing again changes nothing");
    site.make(&["uninstall"]);
    let left = site.files();
    assert_eq!(left, INSTALLED[..2], "only configuration stays");
}

#[test]
fn changed_configuration_stays() {
    let site = Site::new();
    site.make(&["install"]);
    let path = site.root().join("etc/ringway/dataplane.yaml");
    fs::write(&path, "cores: [2, 3]\n").expect("change a configuration file");
    let output = site.make(&["install"]);
    assert_eq!(site.read("etc/ringway/dataplane.yaml"), "cores: [2, 3]\n");
    assert!(site.read("etc/ringway/dataplane.yaml.new").contains("cores: auto"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("dataplane.yaml.new"));
}

#[test]
fn units_follow_the_prefix() {
    for (prefix, lib) in [("/usr", "usr/lib"), ("/opt/ringway", "etc")] {
        let site = Site::new();
        site.make(&["install", &format!("PREFIX={prefix}")]);
        let unit = site.read(&format!("{lib}/systemd/system/ringway-dataplane.service"));
        let start = format!("ExecStart={prefix}/bin/ringway-dataplane ");
        assert!(unit.contains(&start), "{unit}");
        site.make(&["uninstall", &format!("PREFIX={prefix}")]);
        assert_eq!(site.files(), INSTALLED[..2]);
    }
}

#[test]
fn installing_before_building_says_so() {
    let site = Site::new();
    fs::remove_file(site.folder.path().join("built/ringway")).expect("remove a program");
    let output = Command::new("make")
        .arg("install")
        .arg(format!("DESTDIR={}", site.root().display()))
        .arg(format!("BIN_DIR={}", site.folder.path().join("built").display()))
        .env_remove("MAKEFLAGS")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .output()
        .expect("make starts");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("run 'make build' first"));
}

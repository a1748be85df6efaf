//! The first forward of the README works as written: its commands are run, in their order, in a
//! network of their own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use ringway_system::program::binary;

/// Stands in for the first terminal; the README says `make dev` there, which builds and runs this.
const BEFORE: &str = "
ip link set lo up
ringway dev > dev.log 2>&1 &
dev=$!
for _ in $(seq 200); do grep -q 'Ringway runs' dev.log && break; sleep 0.1; done
grep 'Ringway runs' dev.log
";

/// Ctrl-C in the first and the third terminal. The appliance must end well.
const AFTER: &str = "
kill -INT $sender $dev
wait $dev
";

#[test]
fn first_forward() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = fs::read_to_string(readme).expect("the README exists");
    let folder = tempfile::tempdir().expect("a temp folder");
    let programs = binary("ringway").parent().expect("a program lies in a folder").to_owned();
    fs::create_dir(folder.path().join("target")).expect("create a folder");
    symlink(programs, folder.path().join("target/release")).expect("link the programs");

    let script = script(&readme);
    let output = Command::new("unshare")
        .args(if rustix::process::geteuid().is_root() { &["-n"] } else { &["-rn"] })
        .args(["timeout", "120", "bash", "-euo", "pipefail", "-c", &script])
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .env("XDG_RUNTIME_DIR", folder.path().join("run"))
        .env("XDG_STATE_HOME", folder.path().join("state"))
        .env("PATH", path_with(&folder.path().join("target/release")))
        .env_remove("RINGWAY_URL")
        .output()
        .expect("unshare starts: sudo apt-get install util-linux");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let log = fs::read_to_string(folder.path().join("dev.log")).unwrap_or_default();
    assert!(output.status.success(), "{}\n{said}\n{errors}\n--- dev ---\n{log}", output.status);

    for file in ["one.mkv", "two.mkv"] {
        let (pictures, sounds) = frames(&folder.path().join(file));
        assert!(pictures > 60 && sounds > 120, "{file}: {pictures} pictures, {sounds} sounds");
    }
}

/// The shell blocks of the README's first forward as one script, what sends in the background.
fn script(readme: &str) -> String {
    let section = readme.split("\n## First forward\n").nth(1).expect("the section exists");
    let section = section.split("\n## ").next().unwrap_or_default();
    let blocks: Vec<&str> =
        section.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 5, "only {} shell blocks in the README", blocks.len());
    let steps = blocks.iter().map(|block| match block.contains("-f rtp") {
        // `exec`, so that Ctrl-C reaches the sender itself.
        true => format!("( exec {block} ) > sender.log 2>&1 & sender=$!\n"),
        // `wait` there waits for the receivers of its own terminal only.
        false => format!("( {block} )\n"),
    });
    format!("{BEFORE}{}{AFTER}", steps.collect::<String>())
}

fn path_with(programs: &Path) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{}:{path}:/usr/sbin:/sbin", programs.display())
}

/// How many pictures and sounds of the right codecs a file decodes to.
fn frames(file: &Path) -> (u32, u32) {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-of", "csv=p=0"])
        .args(["-show_entries", "stream=codec_name,nb_read_frames"])
        .arg(file)
        .output()
        .expect("ffprobe starts: sudo apt-get install ffmpeg");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let count = |codec: &str| {
        let line = text.lines().find(|line| line.starts_with(codec));
        line.and_then(|line| line.split(',').nth(1)?.parse().ok())
    };
    let both = count("h264").zip(count("opus"));
    both.unwrap_or_else(|| panic!("{}: no H.264 and Opus in {text}", file.display()))
}

//! Every file of every corpus goes through its target once.

use std::fs;
use std::path::{Path, PathBuf};

use ringway_fuzz::TARGETS;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("a readable folder").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

#[test]
fn every_corpus_has_a_target_and_every_target_a_corpus() {
    let targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names(&corpus()), targets);
    let harness = Path::new(env!("CARGO_MANIFEST_DIR")).join("harness/fuzz_targets");
    let files: Vec<String> = targets.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names(&harness), files);
}

#[test]
fn every_corpus_file_passes() {
    for (name, target) in TARGETS {
        let folder = corpus().join(name);
        let files = names(&folder);
        assert!(!files.is_empty(), "the corpus of {name} is empty");
        for file in files {
            println!("{name}/{file}");
            let bytes = fs::read(folder.join(&file)).expect("a readable corpus file");
            target(&bytes);
        }
    }
}

//! The checkout obeys the rules of the house.

use std::path::Path;
use std::sync::OnceLock;

use ringway_tidy::metadata::foreign;
use ringway_tidy::rules;
use ringway_tidy::tree::{Finding, Tree};

fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("tests/tidy lies two folders below the top")
}

fn tree() -> &'static Tree {
    static TREE: OnceLock<Tree> = OnceLock::new();
    TREE.get_or_init(|| Tree::open(root()))
}

fn hold(findings: &[Finding]) {
    let list: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(list.is_empty(), "{} breach(es):\n{}", list.len(), list.join("\n"));
}

macro_rules! rules {
    ($($rule:ident)*) => {
        $(#[test]
        fn $rule() {
            hold(&rules::$rule::check(tree()));
        })*
    };
}

rules! {
    borders commands configuration functions imports leftovers links manifests names sizes sleeps
    third_party top_level unsafety
}

#[test]
fn licences() {
    let deny = &tree().file("deny.toml").expect("deny.toml exists").text;
    hold(&rules::licences::check(deny, &foreign(root())));
}

#[test]
fn the_tree_was_read() {
    // A rule that looks at nothing passes; make sure that there was something to look at.
    assert!(tree().rust().count() > 20, "hardly any Rust file was found");
    assert!(tree().packages.len() > 5, "hardly any package was found");
}

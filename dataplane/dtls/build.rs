//! Compiles the TLS half of AWS-LC from the sources that `aws-lc-sys` brings along.
//!
//! `aws-lc-sys` builds only the cryptographic half, unless its feature `ssl` is on; and that
//! feature asks everybody who builds this for CMake and libclang. A C++ compiler is all that the
//! sources need: no exceptions, no C++ runtime. `src/aws/signatures.c` is compiled against the
//! headers, so that a declaration of ours which differs from theirs stops the build.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Where the sources are, for who keeps them in a place that Cargo does not know.
const OVERRIDE: &str = "RINGWAY_AWS_LC_SOURCE";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/aws/signatures.c");
    println!("cargo:rerun-if-env-changed={OVERRIDE}");

    let library = Library::find();
    println!("cargo:rustc-env=RINGWAY_AWS_LC_PREFIX={}", library.prefix);
    let source = library.source();
    check_signatures(&library.include);
    compile(&source, &library.include);
}

/// What `aws-lc-sys` told us about itself.
struct Library {
    /// `0.47.0`.
    version: String,
    /// Its public headers, the one that renames the symbols included.
    include: PathBuf,
    /// What every symbol of the cryptographic half begins with.
    prefix: String,
}

impl Library {
    fn find() -> Self {
        let links = env::vars()
            .find_map(|(name, _)| {
                let version = name.strip_prefix("DEP_AWS_LC_")?.strip_suffix("_INCLUDE")?;
                version
                    .starts_with(|first: char| first.is_ascii_digit())
                    .then(|| version.to_owned())
            })
            .expect("aws-lc-sys tells where its headers are");
        let told = |key: &str| {
            let name = format!("DEP_AWS_LC_{links}_{key}");
            env::var(&name).unwrap_or_else(|_| panic!("aws-lc-sys does not tell {name}"))
        };
        let library = told("LIBCRYPTO");
        let prefix = library.strip_suffix("crypto").unwrap_or_else(|| {
            panic!("`{library}` is a name of the cryptographic library that build.rs does not know")
        });
        Self {
            version: links.replace('_', "."),
            include: PathBuf::from(told("INCLUDE")),
            prefix: prefix.to_owned(),
        }
    }

    /// The folder of AWS-LC inside the package `aws-lc-sys`.
    fn source(&self) -> PathBuf {
        let overridden = env::var_os(OVERRIDE).map(PathBuf::from);
        let package = overridden.or_else(|| self.by_metadata()).or_else(|| self.by_registry());
        let found = package.map(|package| package.join("aws-lc"));
        found.filter(|source| source.join("ssl/ssl_lib.cc").is_file()).unwrap_or_else(|| {
            panic!(
                "the sources of aws-lc-sys {} are neither where `cargo metadata` says nor in the \
                 registry below CARGO_HOME: set {OVERRIDE} to the unpacked package",
                self.version
            )
        })
    }

    /// Cargo knows best, vendored and patched packages included.
    fn by_metadata(&self) -> Option<PathBuf> {
        let manifest = Path::new(&env::var_os("CARGO_MANIFEST_DIR")?).join("Cargo.toml");
        let output = Command::new(env::var_os("CARGO")?)
            .args(["metadata", "--format-version=1", "--offline", "--locked"])
            .args(["--filter-platform", &env::var("TARGET").ok()?, "--manifest-path"])
            .arg(manifest)
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        // One known line of one known format: not worth a JSON parser in every build.
        let name = format!("\"name\":\"aws-lc-sys\",\"version\":\"{}\"", self.version);
        let (_, package) = text.split_once(&name)?;
        let (_, path) = package.split_once("\"manifest_path\":\"")?;
        let (path, _) = path.split_once('"')?;
        Path::new(path).parent().map(Path::to_owned)
    }

    /// Cargo tells nothing while packages that this build does not need are not downloaded.
    fn by_registry(&self) -> Option<PathBuf> {
        let home = env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))?;
        let name = format!("aws-lc-sys-{}", self.version);
        let registries = fs::read_dir(home.join("registry/src")).ok()?;
        let packages = registries.flatten().map(|registry| registry.path().join(&name));
        packages.into_iter().find(|package| package.is_dir())
    }
}

fn check_signatures(include: &Path) {
    cc::Build::new()
        .file("src/aws/signatures.c")
        .include(include)
        .cargo_metadata(false)
        .compile("ringway_dtls_signatures");
}

fn compile(source: &Path, include: &Path) {
    let folder = source.join("ssl");
    let entries = fs::read_dir(&folder).expect("a readable folder").flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.ends_with(".cc") && !name.ends_with("_test.cc")
        })
        .collect();
    files.sort();
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .cpp_link_stdlib(None)
        .std("c++11")
        .flag_if_supported("-fno-exceptions")
        .flag_if_supported("-fno-rtti")
        .flag_if_supported("-fvisibility=hidden")
        .define("BORINGSSL_IMPLEMENTATION", "1")
        .include(include)
        .warnings(false)
        // Handshakes in tests would take seconds without, and nobody debugs it from here.
        .opt_level(2)
        .debug(false)
        .files(files);
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        build.define("NDEBUG", None);
    }
    build.compile("ringway_dtls_ssl");
}

//! What `weir init` writes: a pipeline that runs without a broker, with its plugin built and in source, the SDK that it is built with, a fixture and a README. It is the
//! project in `plugins/starter`, which the tests run, so it can't grow old unnoticed. It writes nothing itself.

/// A file of the project.
#[derive(Debug, Clone, Copy)]
pub struct StarterFile {
    /// Its path, from the project's folder.
    pub path: &'static str,
    /// What is in it.
    pub content: &'static [u8],
    /// Whether it is a program.
    pub executable: bool,
}

/// Every file of the project.
pub fn files() -> impl Iterator<Item = StarterFile> {
    let texts = TEXTS.iter().map(|(path, text)| StarterFile { path, content: text.as_bytes(), executable: path.ends_with(".sh") });
    texts.chain([StarterFile { path: "starter.wasm", content: include_bytes!(concat!(env!("OUT_DIR"), "/starter.wasm")), executable: false }])
}

/// A file of the SDK as it is in the repository.
macro_rules! sdk {
    ($path:literal) => {
        (concat!("sdk/", $path), include_str!(concat!("../../guest-sdk/rust/", $path)))
    };
}

const TEXTS: &[(&str, &str)] = &[
    ("README.md", include_str!("starter/README.md")),
    ("pipeline.toml", include_str!("../../plugins/starter/pipeline.toml")),
    ("fixtures/visits.jsonl", include_str!("../../plugins/starter/fixtures/visits.jsonl")),
    ("build.sh", include_str!("starter/build.sh")),
    (".gitignore", "/var\n/plugin/target\n"),
    ("plugin/Cargo.toml", include_str!("starter/plugin.toml")),
    ("plugin/src/lib.rs", include_str!("../../plugins/starter/src/lib.rs")),
    ("sdk/Cargo.toml", include_str!("starter/sdk.toml")),
    sdk!("src/aggregate.rs"),
    sdk!("src/bindings.rs"),
    sdk!("src/config.rs"),
    sdk!("src/context.rs"),
    sdk!("src/exports.rs"),
    sdk!("src/lib.rs"),
    sdk!("src/log.rs"),
    sdk!("src/output.rs"),
    sdk!("src/plan.rs"),
    sdk!("src/register.rs"),
    sdk!("src/rows.rs"),
    sdk!("src/states.rs"),
    sdk!("src/testing.rs"),
    sdk!("src/testing/json.rs"),
    sdk!("src/testing/time.rs"),
    sdk!("src/transform.rs"),
    sdk!("src/types.rs"),
    sdk!("src/types/layout.rs"),
    sdk!("src/wire.rs"),
    sdk!("wit/aggregate.wit"),
    sdk!("wit/plugin.wit"),
    sdk!("wit/table.wit"),
    sdk!("wit/transform.wit"),
    sdk!("wit/worlds.wit"),
];

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn below(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = format!("{prefix}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                below(&entry.path(), &name, found);
            } else {
                found.insert(name);
            }
        }
    }

    #[test]
    fn the_sdk_is_whole() {
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-sdk/rust");
        let mut there = BTreeSet::from(["sdk/Cargo.toml".to_owned()]);
        below(&sdk.join("src"), "sdk/src", &mut there);
        below(&sdk.join("wit"), "sdk/wit", &mut there);
        let written: BTreeSet<String> = files().map(|file| file.path.to_owned()).filter(|path| path.starts_with("sdk/")).collect();
        assert_eq!(written, there);
    }

    /// The lines of a table of a manifest, such as `[dependencies]`.
    fn table<'a>(manifest: &'a str, name: &str) -> Vec<&'a str> {
        manifest.lines().skip_while(|line| *line != name).skip(1).take_while(|line| !line.starts_with('[')).filter(|line| !line.is_empty()).collect()
    }

    #[test]
    fn the_sdk_depends_on_what_it_depends_on_here() {
        let root = include_str!("../../Cargo.toml");
        let here = include_str!("../../guest-sdk/rust/Cargo.toml");
        let written = include_str!("starter/sdk.toml");
        for name in ["[dependencies]", "[target.'cfg(target_family = \"wasm\")'.dependencies]"] {
            let inherited = table(here, name).into_iter().map(|line| {
                let name = line.strip_suffix(".workspace = true").expect("dependencies come from the workspace");
                root.lines().find(|line| line.starts_with(&format!("{name} = "))).unwrap()
            });
            assert_eq!(table(written, name), inherited.collect::<Vec<_>>());
        }
    }
}

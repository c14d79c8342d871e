//! Every fixture beside a pipeline holds.

use std::path::{Path, PathBuf};

use crate::support::weir;

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|found| found == extension));
    files.sort();
    files
}

/// A pipeline `x.toml` is tried on `fixtures/x*.jsonl`, and `pipeline.toml` on those that belong to no other.
#[test]
fn every_pipeline_does_what_its_fixtures_say() {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    let mut tried = 0;
    for folder in std::fs::read_dir(&plugins).unwrap().map(|entry| entry.unwrap().path()) {
        let pipelines = files(&folder, "toml").into_iter().filter(|file| !file.ends_with("Cargo.toml")).collect::<Vec<_>>();
        let stem = |file: &Path| file.file_stem().unwrap().to_string_lossy().into_owned();
        for fixture in files(&folder.join("fixtures"), "jsonl") {
            let own = pipelines.iter().find(|pipeline| stem(pipeline) != "pipeline" && stem(&fixture).starts_with(&stem(pipeline)));
            let pipeline = own.unwrap_or_else(|| pipelines.iter().find(|pipeline| stem(pipeline) == "pipeline").unwrap());
            let output = weir(&["--log", "error", "test", pipeline.to_str().unwrap(), fixture.to_str().unwrap()]);
            assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            tried += 1;
        }
    }
    assert!(tried > 0, "no fixture below `{}`", plugins.display());
}

#[test]
fn a_fixture_that_does_not_hold_fails_with_the_rows_that_differ() {
    let folder = tempfile::tempdir().unwrap();
    let (pipeline, fixture) = (folder.path().join("p.toml"), folder.path().join("f.jsonl"));
    let document = "name = \"p\"\n[[source]]\nid = \"s\"\nmemory = {}\nformat = \"json\"\nschema = { n = \"int64\" }\n[[sink]]\ninput = \"s\"\nmemory = {}\n";
    std::fs::write(&pipeline, document).unwrap();
    std::fs::write(&fixture, "{\"input\": {\"s\": [{\"n\": 1}]}, \"output\": {\"s\": [{\"n\": 2}]}}\n").unwrap();
    let output = weir(&["--log", "error", "test", pipeline.to_str().unwrap(), fixture.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("output of `s`:\n    - {\"n\":2}\n    + {\"n\":1}\n0 passed, 1 failed"), "{text}");
}

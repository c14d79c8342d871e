//! The page of `weir run` in headless Chromium: see `page.test.mjs`, which node's own test runner runs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::Path;
use std::process::Command;

use weir_tests::kill::binary;

#[test]
fn the_page_shows_a_running_pipeline_in_a_real_browser() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok_and(|done| done.status.success());
    let chromium = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|program| has(program));
    let (Some(chromium), true, true) = (chromium, has("node"), has("npm")) else {
        panic!("this test needs node, npm and Chromium: `make tools` installs them")
    };
    if !folder.join("node_modules/playwright-core").is_dir() {
        assert!(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder).status().unwrap().success(), "`npm ci` failed");
    }
    let path = Command::new("sh").args(["-c", &format!("command -v {chromium}")]).output().unwrap();
    let path = String::from_utf8(path.stdout).unwrap();
    let mut node = Command::new("node");
    node.args(["--test", "page.test.mjs"]).current_dir(&folder).env("WEIR_BIN", binary().unwrap()).env("CHROMIUM", path.trim());
    assert!(node.status().unwrap().success(), "the page's tests failed: see above");
}

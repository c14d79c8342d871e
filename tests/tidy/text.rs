//! Rules about files and lines.

use std::path::Path;

use crate::tree::{File, Finding, Tree};

/// Without its tests; longer files have more than one thing to say.
const MAX_LINES: usize = 500;

/// Without its tables nobody reads it; with more nobody does either.
const MAX_ARCHITECTURE_LINES: usize = 150;

pub(crate) fn mod_files(tree: &Tree) -> Vec<Finding> {
    tree.rust().filter(|file| Path::new(&file.path).ends_with("mod.rs")).map(|file| file.finding(1, "use `foo.rs` beside `foo/`")).collect()
}

pub(crate) fn long_files(tree: &Tree) -> Vec<Finding> {
    let product = |file: &File| file.lines().take_while(|(_, line)| !line.starts_with("#[cfg(test)]")).count();
    let long = tree.rust().filter(|file| !file.is_test()).filter(|file| product(file) > MAX_LINES);
    long.map(|file| file.finding(product(file), format!("more than {MAX_LINES} lines without tests: split it where its subject splits"))).collect()
}

pub(crate) fn unfinished(tree: &Tree) -> Vec<Finding> {
    // In two pieces, so that this file is not a finding.
    let words = [["TO", "DO"], ["FIX", "ME"], ["todo", "!"], ["unimple", "mented!"]].map(|pieces| pieces.concat());
    containing(tree, &words, "finish it, or leave it out and say so in the documentation")
}

pub(crate) fn machine_paths(tree: &Tree) -> Vec<Finding> {
    let paths = ["work", "root", "home"].map(|folder| format!("/{folder}/"));
    let mut findings = Vec::new();
    for file in &tree.files {
        for (line, text) in file.lines() {
            // A path that begins here, and not `src/work/` or `https://host/work/`.
            let begins = |at: usize| !text[..at].ends_with(|c: char| c.is_alphanumeric() || ['_', '-', '.', '/', '}', '*'].contains(&c));
            let named = paths.iter().find(|path| text.match_indices(path.as_str()).any(|(at, _)| begins(at)));
            findings.extend(named.map(|path| file.finding(line, format!("`{path}` is a folder of one machine"))));
        }
    }
    findings
}

pub(crate) fn bare_exceptions(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        for (line, code) in file.code() {
            let opens = ["#[allow(", "#![allow(", "#[expect(", "#![expect("].iter().any(|open| code.trim_start().starts_with(open));
            let attribute = || file.text.lines().skip(line - 1).take_while(|line| !line.trim_end().ends_with(")]")).count() + 1;
            if opens && !file.text.lines().skip(line - 1).take(attribute()).any(|line| line.contains("reason = ")) {
                findings.push(file.finding(line, "an exception without `reason = \"..\"`"));
            }
        }
    }
    findings
}

pub(crate) fn bare_dependencies(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.path == "Cargo.toml") {
        let (mut inside, mut reason_for) = (false, None);
        for (line, text) in file.lines() {
            if text.starts_with('[') {
                inside = text == "[workspace.dependencies]";
                reason_for = None;
            } else if inside && text.starts_with('#') {
                reason_for = Some(None);
            } else if let Some((name, _)) = text.split_once('=').filter(|_| inside) {
                // One reason may serve a family: `serde` and `serde_json`, `arrow-array` and `arrow-schema`.
                let family = name.trim().split(['-', '_']).next().unwrap_or(name).to_owned();
                match &reason_for {
                    Some(None) => reason_for = Some(Some(family)),
                    Some(Some(served)) if *served == family => {}
                    _ => findings.push(file.finding(line, format!("`{}` has no comment above it that says what it is for", name.trim()))),
                }
            }
        }
    }
    findings
}

pub(crate) fn broken_links(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
        for (line, text) in file.lines() {
            for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()) {
                let path = target.split('#').next().unwrap_or(target);
                let elsewhere = path.is_empty() || path.contains("://") || path.starts_with("mailto:");
                if !elsewhere && !exists(tree, &resolve(folder, path)) {
                    findings.push(file.finding(line, format!("`{target}` leads nowhere")));
                }
            }
        }
    }
    findings
}

pub(crate) fn documents(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let nothing = |path: &str| File { path: path.to_owned(), text: String::new() };
    let find = |path: &str| tree.files.iter().find(|file| file.path == path);
    match find("ARCHITECTURE.md") {
        None => findings.push(nothing("ARCHITECTURE.md").finding(1, "there is none")),
        Some(file) if file.lines().count() >= MAX_ARCHITECTURE_LINES => {
            findings.push(file.finding(MAX_ARCHITECTURE_LINES, format!("{MAX_ARCHITECTURE_LINES} lines or more: keep what holds for years")));
        }
        Some(_) => {}
    }
    match find("CHANGELOG.md") {
        None => findings.push(nothing("CHANGELOG.md").finding(1, "there is none")),
        Some(file) => {
            for heading in ["Unreleased", "Plugin API"] {
                if !file.lines().any(|(_, line)| line.starts_with('#') && line.trim_start_matches('#').trim().trim_matches(['[', ']']) == heading) {
                    findings.push(file.finding(1, format!("no heading `{heading}`")));
                }
            }
        }
    }
    findings
}

fn containing(tree: &Tree, words: &[String], why: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| !file.path.ends_with("Cargo.lock")) {
        for (line, text) in file.lines() {
            let word = words.iter().find(|word| text.contains(word.as_str()));
            findings.extend(word.map(|word| file.finding(line, format!("`{word}`: {why}"))));
        }
    }
    findings
}

/// The path from the root that a link means: `../wit` in `docs/` is `wit`.
fn resolve(folder: &Path, link: &str) -> String {
    let mut parts: Vec<&str> = folder.iter().filter_map(|part| part.to_str()).collect();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn exists(tree: &Tree, path: &str) -> bool {
    path.is_empty() || tree.paths.iter().any(|file| file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(findings: &[Finding]) -> Vec<usize> {
        findings.iter().map(|finding| finding.place().0).collect()
    }

    #[test]
    fn a_mod_file_is_found() {
        assert_eq!(lines(&mod_files(&Tree::of("host/src/sink/mod.rs", ""))), [1]);
        assert_eq!(lines(&mod_files(&Tree::of("host/src/sink/my_mod.rs", ""))), []);
    }

    #[test]
    fn only_product_lines_count_for_the_length_of_a_file() {
        let of = |product: usize, tests: usize| "x\n".repeat(product) + "#[cfg(test)]\n" + &"x\n".repeat(tests);
        assert_eq!(lines(&long_files(&Tree::of("host/src/a.rs", &of(501, 0)))), [501]);
        assert_eq!(lines(&long_files(&Tree::of("host/src/a.rs", &of(500, 900)))), []);
        assert_eq!(lines(&long_files(&Tree::of("host/src/a/tests.rs", &of(501, 0)))), []);
    }

    #[test]
    fn what_is_put_off_is_found_in_any_file() {
        let text = format!("fine\n{}{}: later\n", "TO", "DO");
        assert_eq!(lines(&unfinished(&Tree::of("wit/table.wit", &text))), [2]);
    }

    #[test]
    fn a_path_of_one_machine_is_found_and_a_folder_of_the_project_is_not() {
        let text = format!("a = \"/{0}/me\"\nsrc/{0}/x\n$HOME/{0}/\nhttps://example.org/{0}/\n{1}/{1}\n", "home", "/root");
        assert_eq!(lines(&machine_paths(&Tree::of("README.md", &text))), [1, 5]);
    }

    #[test]
    fn an_exception_without_a_reason_is_found_also_over_several_lines() {
        let text = "#[allow(dead_code)]\n#[allow(dead_code, reason = \"x\")]\n    #[expect(\n        dead_code,\n        reason = \"x\"\n    )]\n#![allow(\n    dead_code\n)]\nreason = 1;\n";
        assert_eq!(lines(&bare_exceptions(&Tree::of("a.rs", text))), [1, 7]);
    }

    #[test]
    fn a_dependency_needs_a_comment_of_its_own_or_of_its_family() {
        let text = "[package]\nname = \"a\"\n[workspace.dependencies]\nbare = \"1\"\n# Config.\nserde = \"1\"\nserde_json = \"1\"\nother = \"1\"\n[profile.dev]\nopt-level = 3\n";
        assert_eq!(lines(&bare_dependencies(&Tree::of("Cargo.toml", text))), [4, 8]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let text = "[a](a.md) [b](../docs/a.md#part) [c](gone.md) [d](https://example.org) [e](#here) [f](..)\n[g](../gone/)\n";
        assert_eq!(lines(&broken_links(&Tree::of("docs/a.md", text))), [1, 2]);
    }

    #[test]
    fn documents_that_are_missing_too_long_or_silent_are_found() {
        assert_eq!(documents(&Tree::of("README.md", "")).len(), 2);
        assert_eq!(lines(&documents(&Tree::of("ARCHITECTURE.md", &"x\n".repeat(150)))), [150, 1]);
        assert_eq!(documents(&Tree::of("CHANGELOG.md", "# Changes\n## Unreleased\n### Plugin API\n")).len(), 1);
        assert_eq!(documents(&Tree::of("CHANGELOG.md", "Unreleased\n")).len(), 3);
    }
}

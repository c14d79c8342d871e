//! The repository's own files, as text.

use std::fmt;
use std::path::{Path, PathBuf};

/// Names of what holds what is built or run, not what is written.
const NOT_OURS: [&str; 5] = [".git", "target", "var", "node_modules", "__pycache__"];

/// All files that are text.
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
    /// Every path, also of what is no text.
    pub(crate) paths: Vec<String>,
}

/// A file of text.
pub(crate) struct File {
    /// From the repository's root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Something that breaks a rule.
pub(crate) struct Finding {
    path: String,
    line: usize,
    why: String,
}

impl Tree {
    /// The repository that this test belongs to.
    pub(crate) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut tree = Self { files: Vec::new(), paths: Vec::new() };
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(root.join(&folder)).unwrap() {
                let entry = entry.unwrap();
                let path = folder.join(entry.file_name());
                let name = path.to_str().unwrap().to_owned();
                // In a second work tree `.git` is a file.
                if NOT_OURS.iter().any(|skipped| path.ends_with(skipped)) {
                    continue;
                }
                if entry.file_type().unwrap().is_dir() {
                    folders.push(path);
                } else if let Ok(text) = std::fs::read_to_string(entry.path()) {
                    tree.paths.push(name.clone());
                    tree.files.push(File { path: name, text });
                } else {
                    tree.paths.push(name);
                }
            }
        }
        assert!(tree.files.len() > 50, "`{}` is not the repository", root.display());
        tree
    }

    /// A tree of one file, to try a rule on.
    #[cfg(test)]
    pub(crate) fn of(path: &str, text: &str) -> Self {
        Self { files: vec![File { path: path.to_owned(), text: text.to_owned() }], paths: vec![path.to_owned()] }
    }

    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }
}

impl File {
    pub(crate) fn finding(&self, line: usize, why: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, why: why.into() }
    }

    /// Lines of code with their numbers, without comments. A `//` inside a text is taken for a comment, which hides no name of a crate in practice.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().map(|(number, line)| (number, line.split("//").next().unwrap_or(line)))
    }

    /// Lines with their numbers.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Whether the whole file is about testing.
    pub(crate) fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs") || self.path.contains("/tests/") || (self.path.starts_with("tests/") && !self.path.starts_with("tests/src/"))
    }
}

impl Finding {
    /// Why it is one; for the rules' own tests.
    #[cfg(test)]
    pub(crate) fn place(&self) -> (usize, &str) {
        (self.line, &self.why)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.why)
    }
}

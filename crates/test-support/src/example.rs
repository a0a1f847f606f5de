//! The files in `pam.d-examples/`, read as an administrator reads them.
//!
//! What a test installs is the file as it stands. What else it sets is what the file's own
//! comments show, so that a comment that misleads fails a test.

use std::fs;

use crate::oathtool::SECRET_BASE32;
use crate::root;

/// One file of `pam.d-examples/`, or any other that shows lines to copy in its comments.
pub struct Example {
    name: String,
    text: String,
}

impl Example {
    /// The file of that name.
    pub fn named(name: &str) -> Self {
        Self::file(&format!("pam.d-examples/{name}"))
    }

    /// Some other file of the project.
    pub fn file(name: &str) -> Self {
        let path = root().join(name);
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self {
            name: name.into(),
            text,
        }
    }

    /// The file with one path in it replaced by another.
    ///
    /// # Panics
    /// If the path is not in it.
    pub fn with_path(mut self, path: &str, instead: &str) -> Self {
        assert!(self.text.contains(path), "{} has no {path}", self.name);
        self.text = self.text.replace(path, instead);
        self
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The lines that the comments show, indented, after the line that ends in `intro`.
    ///
    /// # Panics
    /// If there is no such line, or nothing shown after it.
    pub fn shown_after(&self, intro: &str) -> String {
        const INDENT: &str = "#        ";
        let shown: String = self
            .text
            .lines()
            .skip_while(|line| !(line.starts_with('#') && line.ends_with(intro)))
            .skip(1)
            .skip_while(|line| !line.starts_with(INDENT))
            .map_while(|line| line.strip_prefix(INDENT))
            .flat_map(|line| [line, "\n"])
            .collect();
        assert!(
            !shown.is_empty(),
            "{} shows no lines after {intro:?}",
            self.name
        );
        shown
    }

    /// The lines for the usersfile, with the secret of the tests.
    pub fn usersfile(&self) -> String {
        self.shown_after("has mode 600:")
            .replace("SECRET", SECRET_BASE32)
    }

    /// The lines for sshd.
    pub fn sshd_config(&self) -> String {
        self.shown_after("oath.conf:")
    }
}

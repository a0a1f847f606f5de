//! A finding of the linter, as text and as JSON.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use oath_core::usersfile::format::Field;
use serde::Serialize;
use zeroize::Zeroizing;

use super::stack::Place;

/// How bad it is. The exit code is that of the worst finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// Good to know.
    Note,
    /// Logins work, but less safely than they could.
    Warning,
    /// Somebody cannot log in, or somebody can who should not.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// One problem that was found. Nothing of a secret, a PIN or a code is in it.
#[derive(Clone, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// The file it is about, or the part of the system: `sshd`, `clock`.
    pub(super) place: PathBuf,
    /// Counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<usize>,
    /// Counted from 1.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "field_number"
    )]
    pub(super) field: Option<Field>,
    /// What is wrong; continues after the field's name where there is one.
    pub(super) problem: String,
    /// What to do about it.
    pub(super) advice: String,
    /// The change that `--fix` makes, where there is only one correct form.
    #[serde(serialize_with = "is_some", rename = "fixable")]
    pub(super) fix: Option<Fix>,
}

/// A change that resolves a finding.
#[derive(Clone)]
pub(super) enum Fix {
    /// Another text in place of these bytes of the line; `done` continues after the field's name.
    Replace {
        span: Range<usize>,
        text: Zeroizing<Vec<u8>>,
        done: &'static str,
    },
    /// `chmod 600`.
    Chmod,
}

impl Finding {
    /// A finding about a file as a whole, or a part of the system.
    pub(super) fn new(
        severity: Severity,
        place: impl AsRef<Path>,
        problem: impl Into<String>,
        advice: impl Into<String>,
    ) -> Finding {
        Finding {
            severity,
            place: place.as_ref().to_owned(),
            line: None,
            field: None,
            problem: problem.into(),
            advice: advice.into(),
            fix: None,
        }
    }

    /// A finding about a line of the PAM configuration.
    pub(super) fn of_line(
        severity: Severity,
        place: &Place,
        problem: impl Into<String>,
        advice: impl Into<String>,
    ) -> Finding {
        Finding::new(severity, &place.file, problem, advice).at_line(place.line)
    }

    pub(super) fn at_line(self, line: usize) -> Finding {
        Finding {
            line: Some(line),
            ..self
        }
    }

    pub(super) fn in_field(self, field: Field) -> Finding {
        Finding {
            field: Some(field),
            ..self
        }
    }

    pub(super) fn fixed_by(self, fix: Fix) -> Finding {
        Finding {
            fix: Some(fix),
            ..self
        }
    }
}

/// Two lines: where and what, then what to do.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.place.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}: ", self.severity)?;
        if let Some(field) = self.field {
            write!(f, "{field} ")?;
        }
        write!(f, "{}", self.problem)?;
        if !self.advice.is_empty() {
            write!(f, "\n    {}", self.advice)?;
        }
        Ok(())
    }
}

fn field_number<S: serde::Serializer>(
    field: &Option<Field>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    field.map(|field| field as u8).serialize(serializer)
}

fn is_some<S: serde::Serializer>(fix: &Option<Fix>, serializer: S) -> Result<S::Ok, S::Error> {
    fix.is_some().serialize(serializer)
}

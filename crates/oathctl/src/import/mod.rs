//! `oathctl import`: imports tokens from the files of other programs into the usersfile.
//!
//! One file for each [`Format`]: bytes in, entries out ([`token`]). For whom a token is and what is
//! there already is decided once for all of them: [`user`] (with [`map`]) and
//! [`append`](mod@append).

mod aegis;
mod andotp;
mod any_bytes;
mod append;
mod bitwarden;
mod columns;
mod freeotp_plus;
mod google_authenticator;
mod json;
mod keepass_xml;
mod keepassxc;
mod map;
mod migration;
mod otpauth;
mod proton;
mod pskc;
mod qr_image;
mod serials;
mod stratum;
mod table;
mod token;
mod two_fas;
mod user;
mod xml;
mod yubico;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use oath_core::sys;
use oath_core::usersfile::Document;
use oath_core::usersfile::Usersfile;
use oath_core::usersfile::format::parse_secret;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::Error;
use crate::files;
use crate::output::{self, printable};
use crate::tokens::user_name;
pub use any_bytes::any_bytes;
use append::{Appended, Candidate, append};
use json::Json;
use map::Map;
use table::Table;
use token::ImportItem;
use user::{FileOwner, Users};

/// Import tokens from other programs
#[derive(Args)]
#[command(
    long_about = "Import tokens from other programs: the .google_authenticator file of \
                  google-authenticator's PAM module; otpauth:// and otpauth-migration:// URIs, one \
                  a line; plain exports of 2FAS, Aegis, andOTP, Bitwarden, FreeOTP+, KeePassXC \
                  (CSV, XML), Proton Authenticator and Stratum; what Yubico's programs wrote when they \
                  set up a YubiKey; CSV of serial number, seed and type; PSKC (RFC 6030), \
                  plain or encrypted; an image (PNG, JPEG) of a QR code. Prints line by line what it did, and what was not imported.\n\n\
                  From a file that belongs to another user than root and you, only its owner's \
                  tokens are imported, unless --user or --map says otherwise.",
    after_help = "Exit codes:\n  \
                  0  every token is in the usersfile\n  \
                  1  some are not, or it could not be done\n  \
                  2  the command line is wrong\n  \
                  5  not permitted: not root, as a rule\n\n\
                  Example:\n  oathctl import --dry-run --user alice /home/alice/.google_authenticator"
)]
pub(crate) struct Import {
    /// The file to read, - for standard input
    file: PathBuf,

    /// The user of all the tokens (with --map: of the others), whoever owns the file and whichever
    /// users it names
    #[arg(long, value_name = "NAME", value_parser = user_name())]
    user: Option<OsString>,

    /// For whom which token is: a CSV file of two columns, serial number or label, and user
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,

    /// The key of an encrypted PSKC file, in hex, in a file of its own
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// The password of an encrypted PSKC file, in a file of its own
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,

    /// Only print what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Also where the user has a token already, or the file has several for one user
    #[arg(long)]
    another: bool,

    /// Also for users who have no account on this system
    #[arg(long)]
    force: bool,

    /// Print JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// The result for one token of the file.
#[derive(Serialize)]
struct Row {
    place: String,
    user: Option<String>,
    #[serde(rename = "type")]
    token_type: Option<String>,
    #[serde(flatten)]
    outcome: Outcome,
    left_behind: Vec<String>,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
enum Outcome {
    Imported { usersfile: PathBuf, line: usize },
    WouldBeImported { usersfile: PathBuf, line: usize },
    AlreadyThere { usersfile: PathBuf, line: usize },
    NotImported { reason: String },
}

impl Import {
    pub(crate) fn run(self, config: &Config) -> Result<ExitCode, Error> {
        let (bytes, owner) = self.read()?;
        let users = Users {
            given: self.user.as_deref(),
            map: self.map.as_deref().map(Map::read).transpose()?,
            owner,
            force: self.force,
        };
        let now = config.now()?;
        let found = items_in(&bytes, &self.secrets()?, now)
            .map_err(|problem| Error::failed(format!("{} {problem}", self.name())))?;
        if found.is_empty() {
            return Err(Error::failed(format!("{} holds no token", self.name())));
        }
        let host = sys::host_name();
        let host = host.to_string_lossy();
        let mut rows = Vec::new();
        let mut files: BTreeMap<PathBuf, (Usersfile, Vec<Candidate>)> = BTreeMap::new();
        for found in found {
            let row = rows.len();
            let mut token_type = None;
            let mut user = None;
            let name = users.of_token(&found);
            let mut remarks = found.remarks;
            let candidate = found.token.and_then(|token| {
                token_type = Some(token.token_type.to_string());
                let name = name?;
                user = Some(printable(name.as_bytes()));
                if let Some(shown) = token.shown {
                    remarks.push(format!(
                        "its counter, {shown}, may be that of a code that was shown already: the \
                         code after it is the first that is accepted"
                    ));
                }
                let usersfile = config
                    .usersfile(Some(&name))
                    .map_err(|error| error.to_string())?;
                Ok((
                    usersfile,
                    Candidate {
                        row,
                        user: name,
                        token,
                        issuer: found.issuer.filter(|issuer| *issuer != *host),
                    },
                ))
            });
            rows.push(Row {
                place: found.place,
                user,
                token_type,
                outcome: Outcome::NotImported {
                    reason: candidate.as_ref().err().cloned().unwrap_or_default(),
                },
                left_behind: remarks,
            });
            if let Ok((usersfile, candidate)) = candidate {
                files
                    .entry(usersfile.path().to_owned())
                    .or_insert_with(|| (usersfile, Vec::new()))
                    .1
                    .push(candidate);
            }
        }
        let only_one = files.len() == 1;
        for (usersfile, candidates) in files.into_values() {
            let outcomes = match self.import(config, &usersfile, &candidates) {
                Err(error) if only_one => return Err(error),
                Err(error) => {
                    // The tokens of the other usersfiles may still be imported.
                    let reason = error.to_string();
                    vec![Outcome::NotImported { reason }; candidates.len()]
                }
                Ok(outcomes) => outcomes,
            };
            for (candidate, outcome) in candidates.iter().zip(outcomes) {
                rows[candidate.row].outcome = outcome;
            }
        }
        self.print(&rows)
    }

    /// How messages call the file.
    fn name(&self) -> String {
        if self.is_stdin() {
            "standard input".into()
        } else {
            self.file.display().to_string()
        }
    }

    fn is_stdin(&self) -> bool {
        self.file == Path::new("-")
    }

    /// What `--key-file` and `--password-file` hold: their first lines.
    fn secrets(&self) -> Result<Secrets, Error> {
        let first_line = |path: &PathBuf| {
            let contents = files::read(path)?;
            let line = contents.bytes.split(|&byte| byte == b'\n').next();
            let line = line.unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line).to_vec();
            Ok::<_, Error>(Zeroizing::new(line))
        };
        let key = |path: &PathBuf| {
            let line = first_line(path)?;
            let key = match line.starts_with(b"base32:") {
                true => None,
                false => parse_secret(line.trim_ascii()).ok(),
            };
            key.ok_or_else(|| {
                Error::failed(format!("{} holds no key in hexadecimal", path.display()))
            })
        };
        Ok(Secrets {
            key: self.key_file.as_ref().map(key).transpose()?,
            password: self.password_file.as_ref().map(first_line).transpose()?,
        })
    }

    /// The file's bytes and its owner.
    fn read(&self) -> Result<(Zeroizing<Vec<u8>>, FileOwner), Error> {
        if self.is_stdin() {
            return Ok((files::read_stdin()?, FileOwner::of_stdin()));
        }
        let contents = files::read(&self.file)?;
        Ok((contents.bytes, FileOwner::of(contents.uid)?))
    }

    fn import(
        &self,
        config: &Config,
        usersfile: &Usersfile,
        candidates: &[Candidate],
    ) -> Result<Vec<Outcome>, Error> {
        if !self.dry_run {
            let appended = config.edit_or_create(usersfile, |document| {
                Ok(append(document, candidates, self.another))
            })?;
            return Ok(self.outcomes(usersfile.path(), candidates, appended));
        }
        let mut document = match config.read(usersfile) {
            Err(Error::Usersfile(error)) if error.is_missing() => Document::new(b""),
            document => document?,
        };
        let appended = append(&mut document, candidates, self.another);
        Ok(self.outcomes(usersfile.path(), candidates, appended))
    }

    fn outcomes(
        &self,
        path: &Path,
        candidates: &[Candidate],
        appended: Vec<Appended>,
    ) -> Vec<Outcome> {
        let outcome = |(candidate, appended): (&Candidate, Appended)| {
            let usersfile = path.to_owned();
            match appended {
                Appended::Line(line) if self.dry_run => {
                    Outcome::WouldBeImported { usersfile, line }
                }
                Appended::Line(line) => Outcome::Imported { usersfile, line },
                Appended::AlreadyThere(line) => Outcome::AlreadyThere { usersfile, line },
                Appended::Differs(line, difference) => Outcome::NotImported {
                    reason: format!(
                        "{} has its secret on line {line} of {} already, {difference}",
                        printable(candidate.user.as_bytes()),
                        usersfile.display()
                    ),
                },
                Appended::Ambiguous(ambiguity) => Outcome::NotImported {
                    reason: format!(
                        "{} {ambiguity}; --another imports this one as well",
                        printable(candidate.user.as_bytes())
                    ),
                },
            }
        };
        candidates.iter().zip(appended).map(outcome).collect()
    }

    fn print(&self, rows: &[Row]) -> Result<ExitCode, Error> {
        if self.json {
            output::print_json(&rows)?;
        } else {
            let mut text = String::new();
            for row in rows {
                let Row { place, outcome, .. } = row;
                let user = row.user.as_deref().unwrap_or_default();
                let token_type = row.token_type.as_deref().unwrap_or_default();
                text += &match outcome {
                    Outcome::Imported { usersfile, line } => format!(
                        "{place}: {user}: imported as {token_type}, line {line} of {}\n",
                        usersfile.display()
                    ),
                    Outcome::WouldBeImported { usersfile, line } => format!(
                        "{place}: {user}: would be imported as {token_type}, line {line} of {}\n",
                        usersfile.display()
                    ),
                    Outcome::AlreadyThere { usersfile, line } => format!(
                        "{place}: {user}: already there, line {line} of {}\n",
                        usersfile.display()
                    ),
                    Outcome::NotImported { reason } => {
                        format!("{place}: not imported: {reason}\n")
                    }
                };
                for left_behind in &row.left_behind {
                    text += &format!("{place}: {left_behind}\n");
                }
            }
            output::print(&output::printable_lines(&text))?;
        }
        let complete = rows
            .iter()
            .all(|row| !matches!(row.outcome, Outcome::NotImported { .. }));
        Ok(ExitCode::from(u8::from(!complete)))
    }
}

/// A file format of another program.
trait Format: Sync {
    /// Whether a file is in this format, or looks so much like it that what is wrong with it is
    /// best told in its terms.
    fn recognises(&self, source: &Source) -> bool;

    /// Reads every entry; one that can't be imported says why. The error, of the file as a whole,
    /// goes on after the file's name.
    fn read(&self, source: &Source) -> Result<Vec<ImportItem>, String>;
}

/// All formats, those that are told by their structure first.
static FORMATS: [&dyn Format; 17] = [
    &qr_image::QrImage,
    &keepass_xml::KeePassXml,
    &pskc::Pskc,
    &aegis::Aegis,
    &two_fas::TwoFas,
    &freeotp_plus::FreeOtpPlus,
    &bitwarden::Bitwarden,
    &stratum::Stratum,
    &proton::Proton,
    &andotp::AndOtp,
    &bitwarden::BitwardenCsv,
    &keepassxc::KeePassXcCsv,
    &google_authenticator::GoogleAuthenticator,
    &otpauth::UriList,
    &yubico::YubicoCsv,
    &columns::ColumnsCsv,
    &serials::SerialsCsv,
];

/// A file to import, in the forms in which formats look at it.
struct Source<'a> {
    bytes: &'a [u8],
    /// None if it is no text.
    text: Option<&'a str>,
    json: Option<Json>,
    table: Option<Table>,
    secrets: &'a Secrets,
    /// Seconds since 1970.
    now: u64,
}

/// What decrypts a file, each if it was given.
#[derive(Default)]
struct Secrets {
    key: Option<Zeroizing<Vec<u8>>>,
    password: Option<Zeroizing<Vec<u8>>>,
}

impl Source<'_> {
    fn json(&self) -> Option<&Json> {
        self.json.as_ref()
    }
}

/// Recognises the format, and reads it.
fn items_in(bytes: &[u8], secrets: &Secrets, now: u64) -> Result<Vec<ImportItem>, String> {
    let text = decoded(bytes);
    let text = text.as_ref().map(|text| text.as_str());
    let json = match text {
        Some(text) if text.trim_start().starts_with(['{', '[']) => Some(Json::parse(text)?),
        _ => None,
    };
    let source = Source {
        bytes,
        table: text.and_then(Table::parse),
        text,
        json,
        secrets,
        now,
    };
    let format = FORMATS.iter().find(|format| format.recognises(&source));
    match format {
        Some(format) => format.read(&source),
        None if text.is_none() => Err(not_text(bytes).into()),
        None if source.json.is_some() => Err(
            "is JSON, but no export of 2FAS, Aegis, andOTP, Bitwarden, FreeOTP+, Proton \
             Authenticator or Stratum"
                .into(),
        ),
        None => Err(
            "is in none of the formats that can be imported; oathctl import --help names them"
                .into(),
        ),
    }
}

/// The text of a file: UTF-8, or UTF-16 with a byte order mark.
fn decoded(bytes: &[u8]) -> Option<Zeroizing<String>> {
    let units = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Zeroizing<Vec<u16>> = Zeroizing::new(
            bytes
                .chunks_exact(2)
                .map(|pair| unit([pair[0], pair[1]]))
                .collect(),
        );
        String::from_utf16(&units).ok()
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => units(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => units(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => std::str::from_utf8(rest).ok().map(str::to_owned),
        bytes => std::str::from_utf8(bytes).ok().map(str::to_owned),
    }
    .map(Zeroizing::new)
}

/// What a file that is no text is, as far as it can be told.
fn not_text(bytes: &[u8]) -> &'static str {
    match bytes {
        [0x03, 0xd9, 0xa2, 0x9a, ..] => {
            "is a KeePass database, which is encrypted; export it as CSV with KeePassXC"
        }
        [0xac, 0xed, 0x00, 0x05, ..] => {
            "is a backup of FreeOTP, which is encrypted; enrol its tokens anew"
        }
        bytes
            if bytes.starts_with(b"AUTHENTICATORPRO") || bytes.starts_with(b"AuthenticatorPro") =>
        {
            "is an encrypted backup of Stratum; export it without encryption"
        }
        _ => {
            "is not text in UTF-8 or UTF-16; an encrypted export has to be made anew without a password"
        }
    }
}

/// Reads each of the entries of a JSON export, and numbers them; `whole` is what has them.
fn entries(
    whole: &str,
    list: Result<Option<&[Json]>, String>,
    read: impl Fn(&Json) -> ImportItem,
) -> Result<Vec<ImportItem>, String> {
    let list = list
        .ok()
        .flatten()
        .ok_or_else(|| format!("looks like {whole}, but has no list of entries"))?;
    Ok((1..)
        .zip(list)
        .map(|(number, entry)| {
            let place = format!("entry {number}");
            match entry.is_object() {
                true => ImportItem {
                    place,
                    ..read(entry)
                },
                false => ImportItem::new(place, Err("it is no object".into())),
            }
        })
        .collect())
}

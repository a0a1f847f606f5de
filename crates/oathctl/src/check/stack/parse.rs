//! Reads the configuration of a service as libpam does.
//!
//! pam.conf(5) tells most of it. The rest was found by trying Debian's libpam 1.5.2, among it:
//! `@include` (Debian's own) looks in `/etc/pam.d` alone and, where the file is missing, makes
//! `pam_start` fail; a line of an unknown type counts as `auth` and fails; brackets around a
//! keyword change nothing (`[required]`); what is no keyword is read as value=action pairs even
//! without brackets; a carriage return is part of a word.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{Action, Call, Control, Entry, Fault, Module, Place, ReturnCode, Stack};

/// As deep as libpam goes into substacks.
const DEEPEST_SUBSTACK: usize = 16;
/// Deeper and longer than any configuration that ends. libpam has no bound for `include` and
/// crashes.
const DEEPEST_INCLUDE: usize = 64;
const MOST_ENTRIES: usize = 4096;

/// Where services are configured.
#[derive(Clone)]
pub enum Root {
    /// A file for each service, in the first of these folders that has one.
    Folders(Vec<PathBuf>),
    /// `/etc/pam.conf`.
    File(PathBuf),
}

/// The configuration, and how to read a file of it.
pub struct Configuration<'a> {
    /// Where services are configured.
    pub root: Root,
    /// Reads a file; `None` if it does not exist or cannot be read.
    pub read: &'a dyn Fn(&Path) -> Option<Vec<u8>>,
}

/// Which lines of a file are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The file of a service: all types.
    All,
    /// What `auth include` and `auth substack` take.
    Auth,
}

impl Configuration<'_> {
    /// The auth stack of a service: that of `other` where it has no line of this type.
    pub fn stack(&self, service: &str) -> Stack {
        let mut stack = self.own_stack(service);
        if service != OTHER {
            let other = self.own_stack(OTHER);
            if stack.entries.is_empty() {
                stack.entries = other.entries;
                stack.includes = other.includes;
            }
            // libpam reads it in any case.
            stack.broken = stack.broken.or(other.broken);
        }
        stack
    }

    fn own_stack(&self, service: &str) -> Stack {
        let mut parser = Parser {
            configuration: self,
            stack: Stack::default(),
        };
        let broken = match &self.root {
            Root::Folders(folders) => match self.find(folders, service) {
                Some((file, text)) => parser.file(&file, &text, None, Wanted::All, 0, 0),
                None => Ok(()),
            },
            Root::File(file) => match (self.read)(file) {
                Some(text) => parser.file(file, &text, Some(service), Wanted::All, 0, 0),
                None => Ok(()),
            },
        };
        parser.stack.broken = parser.stack.broken.or(broken.err());
        parser.stack
    }

    fn find(&self, folders: &[PathBuf], name: &str) -> Option<(PathBuf, Vec<u8>)> {
        let mut files = folders.iter().map(|folder| folder.join(name));
        files.find_map(|file| (self.read)(&file).map(|text| (file, text)))
    }

    /// The file that an `include` or `@include` names; an absolute path is taken as it is.
    fn included(&self, name: &str, by_at: bool) -> Option<(PathBuf, Vec<u8>)> {
        let standard = ["/etc/pam.d", "/usr/lib/pam.d"].map(PathBuf::from);
        let folders = match &self.root {
            Root::Folders(folders) => folders,
            Root::File(_) => &standard[..],
        };
        let folders = if by_at {
            &folders[..folders.len().min(1)]
        } else {
            folders
        };
        self.find(folders, name)
    }

    /// Where the file of a service is.
    pub(crate) fn file_of(&self, service: &str) -> Option<PathBuf> {
        match &self.root {
            Root::Folders(folders) => self.find(folders, service).map(|(file, _)| file),
            Root::File(file) => Some(file.clone()),
        }
    }

    /// The services that `pam.conf` has lines of.
    pub(crate) fn services_in_file(&self) -> Vec<String> {
        let Root::File(file) = &self.root else {
            return Vec::new();
        };
        let text = (self.read)(file).unwrap_or_default();
        let (lines, _) = logical_lines(&text);
        let mut services: Vec<String> = lines
            .iter()
            .filter_map(|(_, line)| Words(line).next())
            .map(|word| text_of(&word.text).to_lowercase())
            .collect();
        services.sort();
        services.dedup();
        services
    }
}

/// Whether a file has lines for more than `auth`: what a program can use as its service, and not
/// only a part that services include.
pub(crate) fn is_whole_service(text: &[u8]) -> bool {
    let (lines, _) = logical_lines(text);
    lines.iter().any(|(_, line)| {
        Words(line).next().is_some_and(|word| {
            let kind = word.text.strip_prefix(b"-").unwrap_or(&word.text);
            ["account", "password", "session"]
                .iter()
                .any(|other| is(kind, other))
        })
    })
}

/// The service whose lines stand in for those that a service lacks.
pub(crate) const OTHER: &str = "other";

struct Parser<'a> {
    configuration: &'a Configuration<'a>,
    stack: Stack,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Include {
    /// `@include`: the lines of a file as if they stood here. Where it fails in the file of a
    /// service, the whole service fails.
    At(Wanted),
    Plain,
    Substack,
}

/// Why `pam_start` fails, and where.
type Broken = (Fault, Place);

impl Parser<'_> {
    /// Adds the lines of a file. In `pam.conf`, `service` is whose lines are meant.
    fn file(
        &mut self,
        file: &Path,
        text: &[u8],
        service: Option<&str>,
        wanted: Wanted,
        level: usize,
        depth: usize,
    ) -> Result<(), Broken> {
        let (lines, unfinished) = logical_lines(text);
        // libpam ignores it, but what it names is still reported.
        let last = unfinished.as_ref().filter(|_| wanted == Wanted::All);
        for (number, line) in lines.iter().chain(last) {
            let place = Place {
                file: file.to_owned(),
                line: *number,
            };
            let mut words = Words(line);
            if let Some(service) = service {
                let named = words.next();
                if !named.is_some_and(|word| is(&word.text, service)) {
                    continue;
                }
            }
            self.line(words, place, wanted, level, depth)?;
        }
        match unfinished {
            None => Ok(()),
            Some((line, _)) => Err((
                Fault::UnfinishedLine,
                Place {
                    file: file.to_owned(),
                    line,
                },
            )),
        }
    }

    fn line(
        &mut self,
        mut words: Words,
        place: Place,
        wanted: Wanted,
        level: usize,
        depth: usize,
    ) -> Result<(), Broken> {
        let Some(kind) = words.next() else {
            return Ok(());
        };
        let (may_be_missing, kind) = match kind.text.strip_prefix(b"-") {
            Some(kind) => (true, kind.to_vec()),
            None => (false, kind.text),
        };
        let by_at = is(&kind, "@include");
        if ["account", "password", "session"]
            .iter()
            .any(|other| is(&kind, other))
        {
            return Ok(());
        }
        let control = match by_at {
            true => Some(Word::plain(b"@include")),
            false => words.next(),
        };
        let mut entry = Entry {
            call: Call::Failure,
            level,
            control: Control([Action::Bad; ReturnCode::NAMES.len()]),
            control_text: control.as_ref().map_or_else(String::new, Word::to_string),
            place,
            may_be_missing,
            fault: None,
        };
        let keyword = control.map(|word| text_of(&word.text));
        let include = match keyword.as_deref().map(str::to_ascii_lowercase).as_deref() {
            _ if by_at => Some(Include::At(wanted)),
            Some("include") => Some(Include::Plain),
            Some("substack") => Some(Include::Substack),
            _ => None,
        };
        if let Some(include) = include {
            return self.include(include, words.next(), entry, depth);
        }
        let mut fault = (!is(&kind, "auth")).then(|| Fault::UnknownType(text_of(&kind)));
        match keyword.as_deref().map(Control::parse) {
            None => fault = fault.or(Some(Fault::NoControl)),
            Some(Some(control)) => entry.control = control,
            Some(None) => {
                fault = fault.or(Some(Fault::UnknownControl(entry.control_text.clone())));
            }
        }
        let module = words.next();
        if module.is_none() {
            fault = fault.or(Some(Fault::NoModule));
        }
        if let (Some(path), true) = (module, fault.as_ref().is_none_or(Fault::calls_module)) {
            entry.call = Call::Module(Module {
                path: path.text,
                arguments: words.map(|word| word.text).collect(),
            });
        }
        entry.fault = fault;
        self.add(entry)
    }

    /// Adds the lines of another file. `entry` is what this line becomes where that fails; what
    /// was read before stays in the stack.
    fn include(
        &mut self,
        include: Include,
        name: Option<Word>,
        mut entry: Entry,
        depth: usize,
    ) -> Result<(), Broken> {
        let Some(name) = name.map(|name| text_of(&name.text)) else {
            self.break_with((Fault::IncludeOfNothing, entry.place));
            return Ok(());
        };
        let mut level = entry.level;
        if include == Include::Substack {
            self.add(Entry {
                call: Call::Substack,
                ..entry.clone()
            })?;
            level += 1;
        }
        if depth >= DEEPEST_INCLUDE {
            return Err((Fault::Cycle, entry.place));
        }
        if include == Include::Plain {
            self.stack.includes.push(entry.place.clone());
        }
        let by_at = matches!(include, Include::At(_));
        let wanted = match include {
            Include::At(wanted) => wanted,
            Include::Plain | Include::Substack => Wanted::Auth,
        };
        let found = match level {
            ..DEEPEST_SUBSTACK => self.configuration.included(&name, by_at),
            _ => None,
        };
        let broken = match found {
            Some((file, text)) => self
                .file(&file, &text, None, wanted, level, depth + 1)
                .err(),
            None => Some((Fault::MissingFile(name.clone()), entry.place.clone())),
        };
        match broken {
            None => Ok(()),
            Some(broken @ (Fault::Cycle, _)) => Err(broken),
            Some(broken) if wanted == Wanted::All => {
                self.break_with(broken);
                Ok(())
            }
            // With a failing `@include` in an included file libpam's behaviour is undefined; the
            // line is reported in any case.
            Some(_) => {
                entry.fault = Some(Fault::BadInclude(name));
                self.add(entry)
            }
        }
    }

    /// Nobody gets in; the rest is still read, for the lines that name the module.
    fn break_with(&mut self, broken: Broken) {
        self.stack.broken.get_or_insert(broken);
    }

    fn add(&mut self, entry: Entry) -> Result<(), Broken> {
        if self.stack.entries.len() >= MOST_ENTRIES {
            return Err((Fault::Cycle, entry.place));
        }
        self.stack.entries.push(entry);
        Ok(())
    }
}

impl Fault {
    /// Whether the module of such a line is called all the same.
    fn calls_module(&self) -> bool {
        matches!(self, Fault::UnknownControl(_))
    }
}

impl Control {
    /// A control without its brackets; `None` if libpam can't read it and takes every return code
    /// for bad.
    pub(crate) fn parse(text: &str) -> Option<Control> {
        let keyword = match text.to_ascii_lowercase().as_str() {
            "required" => "success=ok new_authtok_reqd=ok ignore=ignore default=bad",
            "requisite" => "success=ok new_authtok_reqd=ok ignore=ignore default=die",
            "sufficient" => "success=done new_authtok_reqd=done default=ignore",
            "optional" => "success=ok new_authtok_reqd=ok default=ignore",
            _ => text,
        };
        let mut actions = [None; ReturnCode::NAMES.len()];
        let mut rest = keyword.trim_ascii_start();
        while !rest.is_empty() {
            let (value, after) = prefix(rest, &VALUES)?;
            rest = after
                .trim_ascii_start()
                .strip_prefix('=')?
                .trim_ascii_start();
            let (action, after) = action(rest)?;
            match VALUES[value] {
                "default" => {
                    for unset in actions.iter_mut().filter(|action| action.is_none()) {
                        *unset = Some(action);
                    }
                }
                _ => actions[value] = Some(action),
            }
            rest = after.trim_ascii_start();
        }
        Some(Control(actions.map(|action| action.unwrap_or(Action::Bad))))
    }
}

const VALUES: [&str; ReturnCode::NAMES.len() + 1] = {
    let mut values = ["default"; ReturnCode::NAMES.len() + 1];
    let mut at = 0;
    while at < ReturnCode::NAMES.len() {
        values[at] = ReturnCode::NAMES[at];
        at += 1;
    }
    values
};

/// Which of the words a text begins with, and what follows.
fn prefix<'a>(text: &'a str, words: &[&str]) -> Option<(usize, &'a str)> {
    let mut rests = words.iter().map(|word| text.strip_prefix(word)).enumerate();
    rests.find_map(|(which, rest)| Some((which, rest?)))
}

/// The action that a text begins with, and what follows. No space is needed behind it.
fn action(text: &str) -> Option<(Action, &str)> {
    const WORDS: [(&str, Action); 6] = [
        ("ignore", Action::Ignore),
        ("ok", Action::Ok),
        ("done", Action::Done),
        ("bad", Action::Bad),
        ("die", Action::Die),
        ("reset", Action::Reset),
    ];
    if let Some((which, rest)) = prefix(text, &WORDS.map(|(word, _)| word)) {
        return Some((WORDS[which].1, rest));
    }
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    // More than any stack has lines: where it is too large for libpam as well, it fails either way.
    let number: u32 = text[..end].parse().ok()?;
    (number > 0).then_some((Action::Jump(number), &text[end..]))
}

/// A line, and the number of its first where it is continued.
type Line = (usize, Vec<u8>);

/// Lines without comments, those that are continued joined; and one that the end of the file cuts
/// off.
fn logical_lines(text: &[u8]) -> (Vec<Line>, Option<Line>) {
    let mut lines = Vec::new();
    let mut begun: Option<Line> = None;
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let uncommented = line.split(|&byte| byte == b'#').next().unwrap_or_default();
        if trimmed(uncommented).is_empty() {
            // It does not even end a line that is continued.
            continue;
        }
        let has_comment = uncommented.len() < line.len();
        let continued = trimmed(uncommented)
            .strip_suffix(b"\\")
            .filter(|_| !has_comment);
        let (_, whole) = begun.get_or_insert_with(|| (number, Vec::new()));
        match continued {
            Some(part) => {
                whole.extend_from_slice(part);
                whole.push(b' ');
            }
            None => {
                whole.extend_from_slice(uncommented);
                lines.extend(begun.take());
            }
        }
    }
    (lines, begun)
}

/// The separators of words.
const BLANKS: &[u8] = b" \t\n";

fn trimmed(text: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| BLANKS.contains(byte);
    let start = text
        .iter()
        .position(|byte| !is_blank(byte))
        .unwrap_or(text.len());
    let end = text
        .iter()
        .rposition(|byte| !is_blank(byte))
        .map_or(start, |at| at + 1);
    &text[start..end]
}

/// The words of a line. Brackets keep one together; in them `\]` stands for `]`.
struct Words<'a>(&'a [u8]);

struct Word {
    text: Vec<u8>,
    bracketed: bool,
}

impl Word {
    fn plain(text: &[u8]) -> Word {
        Word {
            text: text.to_vec(),
            bracketed: false,
        }
    }
}

/// As it is written.
impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let text = text_of(&self.text);
        match self.bracketed {
            true => write!(f, "[{text}]"),
            false => f.write_str(&text),
        }
    }
}

impl Iterator for Words<'_> {
    type Item = Word;

    fn next(&mut self) -> Option<Word> {
        let rest = trimmed(self.0);
        let Some(inside) = rest.strip_prefix(b"[") else {
            let end = rest.iter().position(|byte| BLANKS.contains(byte));
            let (word, rest) = rest.split_at(end.unwrap_or(rest.len()));
            self.0 = rest;
            return (!word.is_empty()).then(|| Word::plain(word));
        };
        let mut text = Vec::new();
        let mut at = 0;
        while let Some(&byte) = inside.get(at) {
            at += 1;
            match byte {
                b']' => break,
                b'\\' if inside.get(at) == Some(&b']') => {
                    text.push(b']');
                    at += 1;
                }
                _ => text.push(byte),
            }
        }
        self.0 = &inside[at..];
        Some(Word {
            text,
            bracketed: true,
        })
    }
}

fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

fn text_of(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

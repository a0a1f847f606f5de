//! Reads the configuration of a service as libpam does.
//!
//! Most of it is in pam.conf(5). The rest was found by testing Debian's libpam 1.5.2:
//! `@include` (Debian's own) looks in `/etc/pam.d` alone and, where the file is missing, makes
//! `pam_start` fail; a line of an unknown type counts as `auth` and fails; brackets around a
//! keyword change nothing (`[required]`); what is no keyword is read as value=action pairs even
//! without brackets; a carriage return is part of a word.

use std::path::{Path, PathBuf};

use super::words::{Word, Words, logical_lines, text_of};
use super::{Call, Control, Entry, Fault, Module, OtherLine, Place, Stack};

/// libpam's limit on nested substacks.
const DEEPEST_SUBSTACK: usize = 16;
/// Limits on nested includes and on entries, past which the files include each other. libpam has no
/// such limit and crashes.
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
            other_type(kind).is_some()
        })
    })
}

/// The type of a line that is not for `auth`.
fn other_type(kind: &[u8]) -> Option<&'static str> {
    let types = ["account", "password", "session"];
    types.into_iter().find(|other| is(kind, other))
}

/// The service whose lines are used where a service has none.
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
    /// Adds the lines of a file; of `pam.conf`, those of `service`.
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
        let text = words.0.to_vec();
        let Some(kind) = words.next() else {
            return Ok(());
        };
        let (may_be_missing, kind) = match kind.text.strip_prefix(b"-") {
            Some(kind) => (true, kind.to_vec()),
            None => (false, kind.text),
        };
        let by_at = is(&kind, "@include");
        if let Some(kind) = other_type(&kind) {
            if wanted == Wanted::All {
                self.stack.others.extend(other_line(kind, words, place));
            }
            return Ok(());
        }
        let control = match by_at {
            true => Some(Word::plain(b"@include")),
            false => words.next(),
        };
        let mut entry = Entry {
            call: Call::Failure,
            level,
            control: Control::ALL_BAD,
            control_text: control.as_ref().map_or_else(String::new, Word::to_string),
            place,
            text,
            may_be_missing,
            fault: None,
        };
        let is_open = control.as_ref().is_some_and(|word| word.is_open);
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
            Some(None) if is_open => fault = fault.or(Some(Fault::OpenBracket)),
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

    /// Adds the lines of another file. Where that fails, `entry` is added after the lines read so
    /// far.
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

/// A line of another type, unless it includes a file or names no module.
fn other_line(kind: &'static str, mut words: Words, place: Place) -> Option<OtherLine> {
    let control = words.next()?;
    if is(&control.text, "include") || is(&control.text, "substack") {
        return None;
    }
    Some(OtherLine {
        kind,
        control: Control::parse(&text_of(&control.text)).unwrap_or(Control::ALL_BAD),
        module: Module {
            path: words.next()?.text,
            arguments: Vec::new(),
        },
        place,
    })
}

impl Fault {
    /// Whether libpam still calls the module of such a line.
    fn calls_module(&self) -> bool {
        matches!(self, Fault::UnknownControl(_))
    }
}

fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

//! How the file is found, locked, read and replaced.
//!
//! The lock is `flock(2)` on the usersfile itself. A change is a new file beside it, made like
//! the old one in owner, mode and attributes, made durable, and put in its place in one step:
//! whoever opens the path sees the whole old file or the whole new one, whatever stops us in
//! between.
//!
//! Editors do not know the lock. What one of them is half through writing is not believed, and
//! what one of them puts in place is not replaced unseen.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::{File, Metadata, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::{ControlFlow, Range};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use zeroize::Zeroizing;

use super::Error;
use super::path::Place;
use super::scan::{LineStart, UserLine, lines_of};
use crate::sys::{self, Account, xattr};

/// How often a look without the lock is taken when another program writes the file at the same
/// moment.
const ATTEMPTS: usize = 16;

/// A usersfile by its path. Nothing of it is open or locked.
pub struct Usersfile {
    path: PathBuf,
    pub(super) home_of: Option<u32>,
}

/// What was seen of a user without the lock. Nothing of the file's text is in it, and it decides
/// nothing later: it tells where to begin reading, if the file has the same stamp still.
pub struct Look {
    is_known: bool,
    stamp: Stamp,
    first_line: Option<LineStart>,
}

impl Look {
    /// Whether the user has a line of a token.
    pub fn is_known(&self) -> bool {
        self.is_known
    }
}

/// What to put in place of one line.
pub struct Rewrite {
    /// Where the line stands in the file, its line feed included.
    pub span: Range<u64>,
    /// What is to stand there, with its line feed.
    pub text: Zeroizing<Vec<u8>>,
}

/// What `usersfile=` says: a path, in which `${USER}` stands for the name of the user's account and
/// `${HOME}` for its home directory.
pub struct Template<'a>(&'a OsStr);

impl<'a> Template<'a> {
    const USER: &'static [u8] = b"${USER}";
    const HOME: &'static [u8] = b"${HOME}";

    /// The value of the argument.
    pub fn new(text: &'a OsStr) -> Template<'a> {
        Template(text)
    }

    /// The value of the argument.
    pub fn text(&self) -> &'a OsStr {
        self.0
    }

    /// Whether the user's name is part of the path.
    pub fn names_user(&self) -> bool {
        contains(self.0.as_bytes(), Self::USER)
    }

    /// Whether the path begins in the user's home directory, so that the account has to be known.
    pub fn names_home(&self) -> bool {
        contains(self.0.as_bytes(), Self::HOME)
    }

    /// Whether each user has a file of their own.
    pub fn is_per_user(&self) -> bool {
        self.names_user() || self.names_home()
    }

    /// The usersfile of `user`, whose account has to be given where [`names_home`] says so.
    ///
    /// # Errors
    /// There is no home directory, the name cannot stand in a path, or the path is not absolute.
    ///
    /// [`names_home`]: Template::names_home
    pub fn expand(&self, user: &OsStr, account: Option<&Account>) -> Result<Usersfile, Error> {
        let template = || self.0.to_string_lossy().into_owned();
        let mut path = self.0.as_bytes().to_vec();
        let mut home_of = None;
        if self.names_home() {
            let account = account.ok_or_else(|| Error::NoHome {
                template: template(),
            })?;
            path = replaced(&path, Self::HOME, account.home.as_os_str().as_bytes());
            home_of = Some(account.uid);
        }
        // Last, so that nothing in a name that somebody chose is replaced again.
        if self.names_user() {
            if matches!(user.as_bytes(), b"" | b"." | b"..") || contains(user.as_bytes(), b"/") {
                return Err(Error::NoFileName {
                    template: template(),
                });
            }
            path = replaced(&path, Self::USER, user.as_bytes());
        }
        let path = PathBuf::from(OsStr::from_bytes(&path));
        if !path.is_absolute() {
            let shell = [&b"~"[..], b"$HOME"];
            let problem = match shell
                .iter()
                .any(|start| path.as_os_str().as_bytes().starts_with(start))
            {
                true => "must be an absolute path; write ${HOME} for the home directory",
                false => "must be an absolute path",
            };
            return Err(Error::BadTemplate {
                template: template(),
                problem,
            });
        }
        Ok(Usersfile { path, home_of })
    }
}

impl Usersfile {
    /// What `usersfile=` names for `user`.
    ///
    /// # Errors
    /// As [`Template::expand`], or the account cannot be looked up.
    pub fn named(template: &OsStr, user: &OsStr) -> Result<Usersfile, Error> {
        let template = Template::new(template);
        let account = match template.names_home() {
            true => sys::account_by_name(user).map_err(Error::NameService)?,
            false => None,
        };
        template.expand(user, account.as_ref())
    }

    /// The usersfile at an absolute path.
    pub fn at(path: PathBuf) -> Usersfile {
        Usersfile {
            path,
            home_of: None,
        }
    }

    /// The names by which the file may be known from one login to the next: the path as it was
    /// given, what each symbolic link on the way makes of it, and the path without links. Where a
    /// link is moved to switch from one configuration to another, the names before it stay.
    pub fn names(&self) -> Result<Vec<PathBuf>, Error> {
        let place = Place::find(&self.path, self.home_of)?;
        let mut names = vec![self.path.components().collect()];
        names.extend(place.through);
        names.push(place.path);
        names.dedup();
        Ok(names)
    }

    /// The path with its links resolved.
    pub fn resolved_path(&self) -> Result<PathBuf, Error> {
        Place::find(&self.path, self.home_of).map(|place| place.path)
    }

    /// The path as it was given, links not resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks, without the lock, whether `user` has a line of a token at all.
    pub fn look_for(&self, user: &OsStr, deadline: &Deadline) -> Result<Look, Error> {
        let io = |action| Error::io(action, &self.path);
        for _ in 0..ATTEMPTS {
            let place = Place::find(&self.path, self.home_of)?;
            let file = open(&self.path, &place, deadline)?;
            let metadata = checked(&place, &file)?;
            let mut look = Look {
                is_known: false,
                stamp: Stamp::from(&metadata),
                first_line: None,
            };
            // No more than was checked, however fast it grows.
            let text = (&file).take(look.stamp.length);
            lines_of(text, LineStart::default(), user.as_bytes(), |line| {
                look.first_line.get_or_insert(line.start());
                look.is_known = line.entry().makes_known();
                Ok(if look.is_known {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                })
            })
            .map_err(io("read"))?;
            if look.is_known {
                return Ok(look);
            }
            // "Unknown" opens the door where the stack says [user_unknown=ignore], so it is never
            // said of a file that an editor may be half through writing: what was read must have
            // been at rest for a moment, and nobody may have it open to write on. A login that
            // puts a new file in its place meanwhile takes nothing away from that.
            if !look.stamp.is_at_rest() && !deadline.sleep(Stamp::REST) {
                break;
            }
            if !sys::is_open_for_writing(&file).map_err(io("look at"))?
                && Stamp::of(&file)
                    .map_err(io("look at"))?
                    .is_same_text(&look.stamp)
            {
                return Ok(look);
            }
            if !deadline.sleep(Stamp::REST) {
                break;
            }
        }
        Err(Error::Changing(self.path.clone()))
    }

    /// Takes the lock, reads the lines of `user`, lets `decide` say what to write and what to
    /// answer, writes, makes it durable, releases the lock. `decide` is asked again with fresh
    /// lines if another program changed the file meanwhile, and only what it said last counts.
    /// `look` spares it reading what comes before the user's first line, if that is the same file
    /// still.
    ///
    /// # Errors
    /// Nothing was recorded, with one exception: if the folder cannot be flushed to disk
    /// afterwards, the change is visible but may not survive a power cut.
    pub fn update<T, E: From<Error>>(
        &self,
        user: &OsStr,
        look: Option<&Look>,
        deadline: &Deadline,
        mut decide: impl FnMut(&[UserLine]) -> Result<(T, Option<Rewrite>), E>,
    ) -> Result<Updated<T>, E> {
        let (mut updated, warnings) = self.with_lock(deadline, |held| {
            let lines = held.lines_of(user, look)?;
            let (answer, rewrite) = match decide(&lines) {
                Ok(decided) => decided,
                Err(error) => return Ok(Err(error)),
            };
            let failure = match &rewrite {
                Some(rewrite) => match held.replace(rewrite, deadline) {
                    Err(error) if error.is_full_or_read_only() => Some(error),
                    replaced => replaced.map(|()| None)?,
                },
                None => None,
            };
            Ok(Ok(Updated {
                answer,
                rewrite,
                failure,
                warnings: Vec::new(),
            }))
        })?;
        if let Ok(updated) = &mut updated {
            updated.warnings = warnings;
        }
        updated
    }

    /// Does `work` under the lock, and does it again as long as it finds that another program is
    /// changing the file, until the time is up. Tells also what is not as it should be with the
    /// file.
    pub(super) fn with_lock<T>(
        &self,
        deadline: &Deadline,
        mut work: impl FnMut(&mut Held) -> Result<T, Error>,
    ) -> Result<(T, Vec<String>), Error> {
        let mut was_changing = false;
        loop {
            let mut held = match self.lock_within(deadline) {
                // Whoever had the lock was waiting for the same program.
                Err(Error::Locked(path)) if was_changing => return Err(Error::Changing(path)),
                held => held?,
            };
            match work(&mut held) {
                Ok(answer) => return Ok((answer, held.warnings)),
                Err(Error::Changing(path)) => {
                    drop(held);
                    was_changing = true;
                    if !deadline.wait() {
                        return Err(Error::Changing(path));
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Opens and locks the file that the path names at that moment.
    pub(super) fn lock_within(&self, deadline: &Deadline) -> Result<Held, Error> {
        loop {
            let place = Place::find(&self.path, self.home_of)?;
            let file = open(&self.path, &place, deadline)?;
            if let Some(held) = Held::lock(place, file, deadline)? {
                return Ok(held);
            }
        }
    }

    /// As [`lock_within`](Usersfile::lock_within); where there is no file, makes an empty one,
    /// which only its owner may read. For a folder in which nobody else can make files.
    pub(super) fn lock_or_create(&self, deadline: &Deadline) -> Result<Held, Error> {
        loop {
            let place = Place::find(&self.path, self.home_of)?;
            if let Some(found) = &place.found {
                place.check_file(found)?;
            }
            let flags = libc::O_RDONLY | libc::O_CREAT | libc::O_NONBLOCK | libc::O_NOCTTY;
            let file = sys::open_at(&place.folder, &place.name, flags, 0o600)
                .map_err(Error::io("create", &place.path))?;
            // Whatever umask the caller of a setuid program has chosen: a service without
            // CAP_DAC_OVERRIDE is to open it, too.
            let io = |action| Error::io(action, &place.path);
            if file.metadata().map_err(io("look at"))?.mode() & 0o700 != 0o600 {
                file.set_permissions(Permissions::from_mode(0o600))
                    .map_err(io("set the mode of"))?;
            }
            if let Some(held) = Held::lock(place, file, deadline)? {
                return Ok(held);
            }
        }
    }
}

/// What an [`update`](Usersfile::update) came to.
pub struct Updated<T> {
    /// What was decided.
    pub answer: T,
    /// What was to be written.
    pub rewrite: Option<Rewrite>,
    /// Why it was not written: the disk has no room, or is read-only.
    pub failure: Option<Error>,
    /// What is not as it should be with the file.
    pub warnings: Vec<String>,
}

/// Opens the file in its place.
fn open(path: &Path, place: &Place, deadline: &Deadline) -> Result<File, Error> {
    // First what was found as a mere path: opening some devices for reading does something.
    let mut found = place.found.clone();
    if found.is_none() {
        // With no_usersfile_okay a missing file opens the door, and some editors move the file
        // away before they write another: the folder must have been at rest.
        let folder = place.folder.metadata();
        let folder = folder.map_err(Error::io("look at the folder of", &place.path))?;
        if !Stamp::from(&folder).is_at_rest() {
            if !deadline.sleep(Stamp::REST) {
                return Err(Error::Changing(place.path.clone()));
            }
            found = look_at(place, &place.name)?;
        }
    }
    match found {
        Some(found) => place.check_file(&found)?,
        None if place.is_link => {
            return Err(Error::DanglingLink {
                link: path.to_owned(),
                path: place.path.clone(),
            });
        }
        None => return Err(Error::Missing(place.path.clone())),
    }
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
    sys::open_at(&place.folder, &place.name, flags, 0).map_err(Error::io("open", &place.path))
}

/// What is known of the file that was opened, which need not be the one that was found.
fn checked(place: &Place, file: &File) -> Result<Metadata, Error> {
    let metadata = file.metadata().map_err(Error::io("look at", &place.path))?;
    place.check_file(&metadata)?;
    Ok(metadata)
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    find(text, part).is_some()
}

fn replaced(mut text: &[u8], part: &[u8], by: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len() + by.len());
    while let Some(hit) = find(text, part) {
        result.extend_from_slice(&text[..hit]);
        result.extend_from_slice(by);
        text = &text[hit + part.len()..];
    }
    result.extend_from_slice(text);
    result
}

/// What a name in the place's folder stands for, or `None`. Links are not followed.
fn look_at(place: &Place, name: &OsStr) -> Result<Option<Metadata>, Error> {
    match sys::open_at(&place.folder, name, libc::O_PATH, 0).and_then(|file| file.metadata()) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("look at", &place.path)(error)),
    }
}

/// Whether a name in the place's folder stands for the file that `metadata` is of.
pub(super) fn is_named(place: &Place, name: &OsStr, metadata: &Metadata) -> Result<bool, Error> {
    let named = sys::file_id_at(&place.folder, name).map_err(Error::io("look at", &place.path))?;
    Ok(named == Some((metadata.dev(), metadata.ino())))
}

/// Takes the lock of a file that stands under `name`, if nobody else has it. A file server may
/// let only those lock a file who have it open to write on (NFS); then it is opened so.
fn try_lock(place: &Place, name: &OsStr, file: &mut File) -> Result<bool, Error> {
    let mut locked = sys::try_lock(file);
    if matches!(&locked, Err(error) if error.raw_os_error() == Some(libc::EBADF)) {
        let flags = libc::O_RDWR | libc::O_NONBLOCK | libc::O_NOCTTY;
        locked = sys::open_at(&place.folder, name, flags, 0).and_then(|writable| {
            *file = writable;
            sys::try_lock(file)
        });
    }
    locked.map_err(Error::io("lock", &place.path.with_file_name(name)))
}

/// Whether a name in the place's folder stands for this open file.
fn is_same(place: &Place, name: &OsStr, file: &File) -> Result<bool, Error> {
    let metadata = file.metadata().map_err(Error::io("look at", &place.path))?;
    is_named(place, name, &metadata)
}

/// How long one login may wait and compute, [`Deadline::LIMIT`] in all: for locks, for editors, for
/// hashes of PINs, however often it begins anew. What a person needs to answer does not count.
pub struct Deadline {
    end: Cell<Instant>,
    /// Counted as well, so that no clock that stands can make a login wait for ever.
    slept: Cell<Duration>,
    /// The next wait; each is longer than the one before.
    next: Cell<Duration>,
}

impl Deadline {
    /// How long that is.
    pub const LIMIT: Duration = Duration::from_secs(10);
    const SHORTEST_WAIT: Duration = Duration::from_micros(50);
    const LONGEST_WAIT: Duration = Duration::from_millis(5);

    /// Begins to count.
    pub fn begin() -> Deadline {
        Deadline {
            end: Cell::new(Instant::now() + Self::LIMIT),
            slept: Cell::new(Duration::ZERO),
            next: Cell::new(Self::SHORTEST_WAIT),
        }
    }

    /// Whether the time is up.
    pub fn is_over(&self) -> bool {
        self.slept.get() >= Self::LIMIT || Instant::now() >= self.end.get()
    }

    /// Does something whose time does not count.
    pub fn except<T>(&self, work: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let result = work();
        self.end.set(self.end.get() + begin.elapsed());
        result
    }

    /// Waits before another try; `false` if the time is up.
    fn wait(&self) -> bool {
        let next = self.next.get();
        self.next.set((next * 2).min(Self::LONGEST_WAIT));
        self.sleep(next)
    }

    /// Waits so long; `false`, at once, if the time is up.
    fn sleep(&self, time: Duration) -> bool {
        if self.is_over() {
            return false;
        }
        sleep(time);
        self.slept.set(self.slept.get() + time);
        true
    }

    /// A lock has been had: the next one is waited for from the shortest wait on.
    fn restart_waits(&self) {
        self.next.set(Self::SHORTEST_WAIT);
    }
}

/// Tells one state of a file from the next.
#[derive(PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// How long an editor may take between emptying a file and filling it.
    const REST: Duration = Duration::from_millis(50);

    fn of(file: &File) -> io::Result<Stamp> {
        file.metadata().map(|metadata| Stamp::from(&metadata))
    }

    fn from(metadata: &Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether it has the same text as when `earlier` was taken. Of the same file the time of
    /// change moves also when it gets or loses a name.
    fn is_same_text(&self, earlier: &Stamp) -> bool {
        (self.inode, self.length, self.modified)
            == (earlier.inode, earlier.length, earlier.modified)
    }

    /// Whether the last change is longer ago than [`Self::REST`]. Of a change in the future, as a
    /// clock set back or another machine's clock leaves it, nobody knows.
    fn is_at_rest(&self) -> bool {
        let (Ok(seconds), Ok(nanoseconds)) = (
            u64::try_from(self.modified.0),
            u32::try_from(self.modified.1),
        ) else {
            return true; // before 1970
        };
        let modified = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        SystemTime::now()
            .duration_since(modified)
            .is_ok_and(|age| age > Self::REST)
    }
}

/// A usersfile that is open and locked. Dropping it releases the lock.
pub struct Held {
    pub(super) place: Place,
    file: File,
    pub(super) metadata: Metadata,
    stamp: Stamp,
    pub(super) warnings: Vec<String>,
}

impl Held {
    /// Locks a file that was opened in its place; `None` if the name stands for another by then:
    /// while this login waited, the one before it has put a new file there.
    fn lock(place: Place, mut file: File, deadline: &Deadline) -> Result<Option<Held>, Error> {
        while !try_lock(&place, &place.name, &mut file)? {
            if !deadline.wait() {
                return Err(Error::Locked(place.path));
            }
        }
        deadline.restart_waits();
        let metadata = checked(&place, &file)?;
        if !is_named(&place, &place.name, &metadata)? {
            return Ok(None);
        }
        Ok(Some(Held {
            warnings: place.warnings(&metadata),
            stamp: Stamp::from(&metadata),
            place,
            file,
            metadata,
        }))
    }

    /// Takes the file away, if its name stands for it still.
    pub(super) fn remove(&self) -> Result<(), Error> {
        if !is_named(&self.place, &self.place.name, &self.metadata)? {
            return Ok(());
        }
        sys::unlink_at(&self.place.folder, &self.place.name).map_err(self.io("remove"))
    }

    fn io(&self, action: &'static str) -> impl FnOnce(io::Error) -> Error {
        Error::io(action, &self.place.path)
    }

    /// The path, links resolved.
    pub fn path(&self) -> &Path {
        &self.place.path
    }

    /// The whole file. For files that are small by nature.
    pub fn read_all(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut text = Zeroizing::new(Vec::new());
        // Room for all of it at once: a vector that grows leaves copies behind.
        text.try_reserve_exact(self.stamp.length as usize + 1)
            .map_err(io::Error::from)
            .and_then(|()| (&self.file).take(self.stamp.length).read_to_end(&mut text))
            .map_err(self.io("read"))?;
        self.check_unchanged()?;
        Ok(text)
    }

    /// The token lines of `user`, in file order.
    pub fn lines_of(&self, user: &OsStr, look: Option<&Look>) -> Result<Vec<UserLine>, Error> {
        let start = self.first_line(look).map_err(self.io("read"))?;
        let mut file = &self.file;
        file.seek(SeekFrom::Start(start.offset))
            .map_err(self.io("read"))?;
        let checked = file.take(self.stamp.length.saturating_sub(start.offset));
        let mut lines = Vec::new();
        lines_of(checked, start, user.as_bytes(), |line| {
            lines.try_reserve(1)?;
            lines.push(line);
            Ok(ControlFlow::Continue(()))
        })
        .map_err(self.io("read"))?;
        self.check_unchanged()?;
        Ok(lines)
    }

    /// Where the user's first line begins, if a look at this very file in this very state saw it;
    /// else where the file begins.
    ///
    /// The text itself is read anew in any case. Should a change have left the stamp as it was
    /// (on a clock that ticks slowly), then a line that has come before the others is not seen
    /// this once, and no piece of another line is taken for one of the user's.
    fn first_line(&self, look: Option<&Look>) -> io::Result<LineStart> {
        let seen = look.filter(|look| look.stamp == self.stamp);
        let start = seen.and_then(|look| look.first_line).unwrap_or_default();
        let follows_a_line = match start.offset.checked_sub(1) {
            Some(before) => {
                let mut byte = [0];
                self.file.read_at(&mut byte, before)? == 1 && byte == *b"\n"
            }
            None => true,
        };
        Ok(if follows_a_line {
            start
        } else {
            LineStart::default()
        })
    }

    /// An editor that writes in place does not know our lock: what was read while it wrote, or
    /// between two of its writes, is not believed.
    fn check_unchanged(&self) -> Result<(), Error> {
        self.check(&self.place.name, |now| *now == self.stamp)
    }

    /// Whether `name` stands for the file, nobody has it open to write on, and its stamp is the
    /// same; in this order, so that whoever comes in between is seen.
    fn check(&self, name: &OsStr, is_same: impl Fn(&Stamp) -> bool) -> Result<(), Error> {
        let settled = is_named(&self.place, name, &self.metadata)?
            && !sys::is_open_for_writing(&self.file).map_err(self.io("look at"))?
            && is_same(&Stamp::of(&self.file).map_err(self.io("look at"))?);
        if settled {
            Ok(())
        } else {
            Err(Error::Changing(self.place.path.clone()))
        }
    }

    /// Puts a new file in the place of the old, with one part changed. From then on it is the new
    /// file that is held.
    pub fn replace(&mut self, rewrite: &Rewrite, deadline: &Deadline) -> Result<(), Error> {
        let folder_flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let folder = sys::open_at(&self.place.folder, OsStr::new("."), folder_flags, 0)
            .map_err(self.io("open the folder of"))?;
        let (name, file) = NewName::create(&self.place, deadline)?;
        let writable = name.open_for_writing(&file)?;
        let Range { start, end } = rewrite.span;
        give_owner(&self.metadata, &file).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied if self.place.owner.is_none() => Error::Owner {
                path: self.place.path.clone(),
                cause: error,
            },
            _ => self.io("copy owner and rights of")(error),
        })?;
        make_like(&self.file, &self.metadata, &file)
            .map_err(self.io("copy owner and rights of"))?;
        self.copy(0..start, &writable)
            .and_then(|()| (&writable).write_all(&rewrite.text))
            .and_then(|()| self.copy(end..self.stamp.length, &writable))
            .and_then(|()| writable.sync_all())
            .map_err(self.io("write the new file for"))?;
        drop(writable);
        self.check_unchanged()?;
        name.change_places(self, &file)?;
        match folder.sync_all() {
            // Some file systems cannot flush a folder and say so.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            result => result.map_err(self.io("flush the folder of"))?,
        }
        self.metadata = file.metadata().map_err(self.io("look at"))?;
        self.stamp = Stamp::from(&self.metadata);
        self.file = file;
        Ok(())
    }

    /// Copies a part of the old file; the kernel does it, so that nobody's secrets pass through
    /// this process.
    fn copy(&self, part: Range<u64>, new: &File) -> io::Result<()> {
        let mut old = &self.file;
        old.seek(SeekFrom::Start(part.start))?;
        let mut at = part.start;
        while at < part.end {
            match io::copy(&mut old.take(part.end - at), &mut &*new) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(copied) => at += copied,
                // What was copied before the signal came is where the files' positions are.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    at = old.stream_position()?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The name beside the usersfile under which its replacement is made. What stands there is removed
/// when this is dropped: the new file, or the old one once the two have changed places.
struct NewName<'a> {
    place: &'a Place,
    name: OsString,
}

impl<'a> NewName<'a> {
    /// Creates `.users.oath.new` beside `users.oath`, readable by nobody else, and locks it.
    ///
    /// The name is always the same, so that a crash leaves at most one file behind, and the lock
    /// tells such a leftover from a file that is being written.
    fn create(place: &'a Place, deadline: &Deadline) -> Result<(NewName<'a>, File), Error> {
        let name: OsString = [OsStr::new("."), &place.name, OsStr::new(".new")]
            .into_iter()
            .collect();
        let path = place.path.with_file_name(&name);
        let io = |action| Error::io(action, &path);
        loop {
            let flags = libc::O_RDONLY | libc::O_CREAT | libc::O_EXCL;
            match sys::open_at(&place.folder, &name, flags, 0o600) {
                Ok(mut file) => {
                    let locked = try_lock(place, &name, &mut file);
                    match locked.and_then(|locked| Ok(locked && is_same(place, &name, &file)?)) {
                        Ok(true) => return Ok((NewName { place, name }, file)),
                        // Between creation and lock somebody has taken it for a leftover.
                        Ok(false) => {}
                        Err(error) => {
                            let _ = sys::unlink_at(&place.folder, &name);
                            return Err(error);
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    remove_leftover(place, &name)?;
                }
                Err(error) => return Err(io("create")(error)),
            }
            if !deadline.wait() {
                return Err(Error::Locked(path));
            }
        }
    }

    /// Opens the new file a second time. Once that is closed again, nobody has the file open for
    /// writing: the next login would take such a one for an editor.
    fn open_for_writing(&self, file: &File) -> Result<File, Error> {
        let path = self.place.path.with_file_name(&self.name);
        let flags = libc::O_WRONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
        let writable = sys::open_at(&self.place.folder, &self.name, flags, 0)
            .map_err(Error::io("open", &path))?;
        let ids = |file: &File| file.metadata().map(|found| (found.dev(), found.ino()));
        match (ids(&writable), ids(file)) {
            (Ok(one), Ok(other)) if one == other => Ok(writable),
            (Err(error), _) | (_, Err(error)) => Err(Error::io("look at", &path)(error)),
            _ => Err(Error::Changing(path)),
        }
    }

    /// Lets the new file and the old one change places, in one step, and looks at what came out:
    /// what somebody has put or begun to write there after the last look goes back to its place.
    /// On a file system that cannot do this the new file is renamed over the old.
    fn change_places(self, old: &Held, new: &File) -> Result<(), Error> {
        let Place {
            folder, name, path, ..
        } = self.place;
        if sys::exchange_at(folder, &self.name, name).is_err() {
            return sys::rename_at(folder, &self.name, name).map_err(|error| match error.kind() {
                io::ErrorKind::ResourceBusy => Error::refused(
                    path,
                    "is a mount point by itself and cannot be replaced; mount the folder it is in",
                ),
                _ => Error::io("replace", path)(error),
            });
        }
        let replaced = old.check(&self.name, |now| now.is_same_text(&old.stamp));
        // Not if somebody was quick enough to put yet another file there.
        if replaced.is_err() && is_same(self.place, name, new).unwrap_or(true) {
            sys::rename_at(folder, &self.name, name).map_err(Error::io("restore", path))?;
        }
        replaced
    }
}

impl Drop for NewName<'_> {
    fn drop(&mut self) {
        // If even that fails, the next login recognises it as a leftover.
        let _ = sys::unlink_at(&self.place.folder, &self.name);
    }
}

/// Gives a new file the owner of the old one, while nobody else may read it.
fn give_owner(old: &Metadata, new: &File) -> io::Result<()> {
    let created = new.metadata()?;
    if (created.uid(), created.gid()) == (old.uid(), old.gid()) {
        return Ok(());
    }
    match fchown(new, Some(old.uid()), Some(old.gid())) {
        // A user's own file may be of a group that the user is not in, as it is when root gave it
        // away. Where that group may do nothing with it, its loss is none.
        Err(error)
            if error.kind() == io::ErrorKind::PermissionDenied
                && created.uid() == old.uid()
                && old.mode() & 0o070 == 0 =>
        {
            Ok(())
        }
        result => result,
    }
}

/// Gives a new file the ACL, labels and mode of the old one, in an order in which it is never open
/// to more people than that.
fn make_like(old: &File, old_metadata: &Metadata, new: &File) -> io::Result<()> {
    const ACL: &CStr = c"system.posix_acl_access";
    let names = xattr::names(old)?;
    let has_acl = |names: &[CString]| names.iter().any(|name| name.as_c_str() == ACL);
    if !has_acl(&names) && has_acl(&xattr::names(new)?) {
        // The folder's default ACL gave it one that the old file has not.
        xattr::remove(new, ACL)?;
    }
    for name in names {
        if let Some(value) = xattr::get(old, &name)? {
            if xattr::get(new, &name)?.as_ref() != Some(&value) {
                xattr::set(new, &name, &value)?;
            }
        }
    }
    new.set_permissions(Permissions::from_mode(old_metadata.mode() & 0o7777))
}

/// Removes what stands under the new file's name, unless somebody is just writing it.
fn remove_leftover(place: &Place, name: &OsStr) -> Result<(), Error> {
    let path = place.path.with_file_name(name);
    let Some(metadata) = look_at(place, name)? else {
        return Ok(());
    };
    if metadata.is_dir() {
        return Err(Error::refused(&path, "is in the way; remove it"));
    }
    // Kept open, so that the lock lasts until the name is gone.
    let mut leftover = None;
    if metadata.is_file() && !place.is_intruder(&metadata) {
        let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
        match sys::open_at(&place.folder, name, flags, 0) {
            Ok(mut file) => {
                if !try_lock(place, name, &mut file)? || !is_same(place, name, &file)? {
                    return Ok(());
                }
                leftover = Some(file);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // No login here has made it: it could open it, too.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            Err(error) => return Err(Error::io("open", &path)(error)),
        }
    }
    let removed = sys::unlink_at(&place.folder, name);
    drop(leftover);
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("remove the leftover", &path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_begins_at_a_line_feed_even_if_the_stamp_should_be_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let usersfile = Usersfile::at(folder.path().join("users.oath"));
        let alice = OsStr::new("alice");
        let written = |text: &str| {
            std::fs::write(usersfile.path(), text).unwrap();
            std::fs::set_permissions(usersfile.path(), Permissions::from_mode(0o600)).unwrap();
        };
        written(" \nHOTP alice - 00\n");
        let mut look = usersfile.look_for(alice, &Deadline::begin()).unwrap();
        written(" #HOTP alice - 00\n");
        let held = usersfile.lock_within(&Deadline::begin()).unwrap();
        look.stamp = Stamp::of(&held.file).unwrap();
        assert_eq!(look.first_line.unwrap().offset, 2);
        assert!(held.lines_of(alice, Some(&look)).unwrap().is_empty());
    }
}

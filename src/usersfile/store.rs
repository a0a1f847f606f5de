//! How the file is found, locked, read and replaced.
//!
//! The lock is `flock(2)` on the usersfile itself. A change is a new file beside it, made like
//! the old one in owner, mode and attributes, made durable, and renamed over it: whoever opens
//! the path sees the whole old file or the whole new one, whatever stops us in between.

#![forbid(unsafe_code)]

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::{File, Metadata, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::{ControlFlow, Range};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use super::Error;
use super::path::Place;
use super::scan::{UserLine, has_line, lines_of};
use crate::sys;

/// How long a login waits for the lock.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// How often a change is tried when another program writes the file at the same moment.
pub(super) const ATTEMPTS: usize = 16;

/// A usersfile by its path. Nothing of it is open or locked.
pub struct Usersfile {
    path: PathBuf,
    pub(super) home_of: Option<u32>,
}

/// What to put in place of one line.
pub struct Rewrite {
    /// Where the line stands in the file, its line feed included.
    pub span: Range<u64>,
    /// What is to stand there, with its line feed.
    pub text: Zeroizing<Vec<u8>>,
}

impl Usersfile {
    /// Works out what `usersfile=` names for `user`: `${USER}` stands for the name, `${HOME}` for
    /// the home directory.
    pub fn named(template: &OsStr, user: &OsStr) -> Result<Usersfile, Error> {
        let refused = |problem| Error::BadTemplate {
            template: template.to_string_lossy().into_owned(),
            problem,
        };
        let mut path = template.as_bytes().to_vec();
        if contains(&path, b"${USER}") {
            if matches!(user.as_bytes(), b"" | b"." | b"..") || contains(user.as_bytes(), b"/") {
                return Err(refused("the user's name cannot stand in a path"));
            }
            path = replaced(&path, b"${USER}", user.as_bytes());
        }
        let mut home_of = None;
        if contains(&path, b"${HOME}") {
            let account = sys::account_by_name(user)
                .map_err(Error::io("find the home directory for", template))?
                .ok_or_else(|| Error::NoHome {
                    user: user.to_string_lossy().into_owned(),
                    template: template.to_string_lossy().into_owned(),
                })?;
            path = replaced(&path, b"${HOME}", account.home.as_os_str().as_bytes());
            home_of = Some(account.uid);
        }
        let path = PathBuf::from(OsStr::from_bytes(&path));
        if !path.is_absolute() {
            return Err(refused("must be an absolute path"));
        }
        Ok(Usersfile { path, home_of })
    }

    /// The usersfile at an absolute path.
    pub fn at(path: PathBuf) -> Usersfile {
        Usersfile {
            path,
            home_of: None,
        }
    }

    /// The path with its links resolved.
    pub fn resolved_path(&self) -> Result<PathBuf, Error> {
        Place::find(&self.path, self.home_of).map(|place| place.path)
    }

    /// The path as it was given, links not resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks, without the lock, whether `user` has a line of a token at all. What is seen here
    /// is good for nothing but to say that the user is unknown.
    pub fn knows(&self, user: &OsStr) -> Result<bool, Error> {
        let mut seen_before: Option<Stamp> = None;
        for _ in 0..ATTEMPTS {
            let (_place, file) = self.open()?;
            let io = |action| Error::io(action, &self.path);
            let stamp = Stamp::of(&file).map_err(io("look at"))?;
            let known = has_line(&file, user.as_bytes(), |entry| entry.makes_known());
            if known.map_err(io("read"))? {
                return Ok(true);
            }
            // "Unknown" opens the door where the stack says [user_unknown=ignore], so it is never
            // said of a file that an editor may be half through writing: the file must have been
            // at rest for a moment, or be a whole one that a login has put there since we looked.
            let replaced = seen_before.is_some_and(|before| before.inode != stamp.inode);
            let settled = stamp.is_at_rest()
                || replaced && ends_in_line_feed(&file, stamp.length).map_err(io("read"))?;
            if settled && Stamp::of(&file).map_err(io("look at"))? == stamp {
                return Ok(false);
            }
            seen_before = Some(stamp);
            sleep(Stamp::REST);
        }
        Err(Error::Changing(self.path.clone()))
    }

    /// Takes the lock, reads the lines of `user`, lets `decide` say what to write and what to
    /// answer, writes, makes it durable, releases the lock. `decide` is asked again with fresh
    /// lines if another program changed the file meanwhile.
    ///
    /// An error means that nothing was recorded, with one exception: if the folder cannot be
    /// flushed to disk after the rename, the change is visible but may not survive a power cut.
    pub fn update<T>(
        &self,
        user: &OsStr,
        mut decide: impl FnMut(&[UserLine]) -> (T, Option<Rewrite>),
    ) -> Result<(T, Vec<String>), Error> {
        for _ in 0..ATTEMPTS {
            let mut held = self.lock()?;
            let attempt = held.lines_of(user).and_then(|lines| {
                let (answer, rewrite) = decide(&lines);
                if let Some(rewrite) = rewrite {
                    held.replace(&rewrite)?;
                }
                Ok(answer)
            });
            match attempt {
                Err(Error::Changing(_)) => {}
                Err(error) => return Err(error),
                Ok(answer) => return Ok((answer, held.warnings)),
            }
        }
        Err(Error::Changing(self.path.clone()))
    }

    fn open(&self) -> Result<(Place, File), Error> {
        let place = Place::find(&self.path, self.home_of)?;
        // First what was found as a mere path: opening some devices for reading does something.
        place
            .found
            .as_ref()
            .ok_or_else(|| Error::Missing(place.path.clone()))
            .and_then(|metadata| place.check_file(metadata))?;
        let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = sys::open_at(&place.folder, &place.name, flags, 0)
            .map_err(Error::io("open", &place.path))?;
        let metadata = file.metadata().map_err(Error::io("look at", &place.path))?;
        place.check_file(&metadata)?;
        Ok((place, file))
    }

    /// Opens and locks the file that the path names at that moment.
    pub fn lock(&self) -> Result<Held, Error> {
        let mut patience = Patience::new();
        loop {
            let (place, file) = self.open()?;
            while !sys::try_lock(&file).map_err(Error::io("lock", &place.path))? {
                if !patience.wait() {
                    return Err(Error::Locked(place.path));
                }
            }
            let metadata = file.metadata().map_err(Error::io("look at", &place.path))?;
            // While we waited, the login before us has put a new file in its place.
            if is_named(&place, &place.name, &metadata)? {
                return Ok(Held {
                    warnings: place.warnings(&metadata),
                    stamp: Stamp::from(&metadata),
                    place,
                    file,
                    metadata,
                });
            }
        }
    }
}

fn ends_in_line_feed(file: &File, length: u64) -> io::Result<bool> {
    let mut last = [0];
    let Some(at) = length.checked_sub(1) else {
        return Ok(false);
    };
    Ok(file.read_at(&mut last, at)? == 1 && last == *b"\n")
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

/// Waits a little longer each time, [`LOCK_PATIENCE`] in all. What is counted is the time slept,
/// so that no clock that stands or jumps can make it wait for ever.
struct Patience {
    next: Duration,
    slept: Duration,
}

impl Patience {
    const SHORTEST: Duration = Duration::from_micros(50);
    const LONGEST: Duration = Duration::from_millis(5);

    fn new() -> Patience {
        Patience {
            next: Self::SHORTEST,
            slept: Duration::ZERO,
        }
    }

    /// Waits; `false` if there is no patience left.
    fn wait(&mut self) -> bool {
        if self.slept >= LOCK_PATIENCE {
            return false;
        }
        sleep(self.next);
        self.slept += self.next;
        self.next = (self.next * 2).min(Self::LONGEST);
        true
    }
}

/// Tells one state of a file from the next.
#[derive(PartialEq, Eq)]
struct Stamp {
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
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether the last change is longer ago than [`Self::REST`]. A change in the future, as a
    /// clock set back leaves it, is long past.
    fn is_at_rest(&self) -> bool {
        let (Ok(seconds), Ok(nanoseconds)) = (
            u64::try_from(self.modified.0),
            u32::try_from(self.modified.1),
        ) else {
            return true;
        };
        let modified = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        SystemTime::now()
            .duration_since(modified)
            .map_or(true, |age| age > Self::REST)
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
    pub fn lines_of(&self, user: &OsStr) -> Result<Vec<UserLine>, Error> {
        let mut lines = Vec::new();
        lines_of(&self.file, user.as_bytes(), |line| {
            lines.try_reserve(1)?;
            lines.push(line);
            Ok(ControlFlow::Continue(()))
        })
        .map_err(self.io("read"))?;
        self.check_unchanged()?;
        Ok(lines)
    }

    /// An editor that writes in place does not know our lock: what was read while it wrote is
    /// not believed.
    fn check_unchanged(&self) -> Result<(), Error> {
        let now = Stamp::of(&self.file).map_err(self.io("look at"))?;
        if now == self.stamp && is_named(&self.place, &self.place.name, &self.metadata)? {
            Ok(())
        } else {
            Err(Error::Changing(self.place.path.clone()))
        }
    }

    /// Puts a new file in the place of the old, with one part changed. From then on it is the new
    /// file that is held.
    pub fn replace(&mut self, rewrite: &Rewrite) -> Result<(), Error> {
        let folder_flags = libc::O_RDONLY | libc::O_DIRECTORY;
        let folder = sys::open_at(&self.place.folder, OsStr::new("."), folder_flags, 0)
            .map_err(self.io("open the folder of"))?;
        let (name, file) = NewName::create(&self.place)?;
        let Range { start, end } = rewrite.span;
        make_like(&self.file, &self.metadata, &file)
            .map_err(self.io("copy owner and rights of"))?;
        self.copy(0..start, &file)
            .and_then(|()| (&file).write_all(&rewrite.text))
            .and_then(|()| self.copy(end..self.stamp.length, &file))
            .and_then(|()| file.sync_all())
            .map_err(self.io("write the new file for"))?;
        self.check_unchanged()?;
        name.rename()?;
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
        let length = part.end - part.start;
        if length == 0 {
            return Ok(());
        }
        let mut old = &self.file;
        old.seek(SeekFrom::Start(part.start))?;
        let copied = io::copy(&mut old.take(length), &mut &*new)?;
        if copied == length {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

/// The name of a file that is to replace the usersfile. Dropped before the file was renamed, it
/// takes the file with it.
struct NewName<'a> {
    place: &'a Place,
    name: OsString,
    renamed: bool,
}

impl<'a> NewName<'a> {
    /// Creates `.users.oath.new` beside `users.oath`, readable by nobody else, and locks it.
    ///
    /// The name is always the same, so that a crash leaves at most one file behind, and the lock
    /// tells such a leftover from a file that is being written.
    fn create(place: &'a Place) -> Result<(NewName<'a>, File), Error> {
        let name: OsString = [OsStr::new("."), &place.name, OsStr::new(".new")]
            .into_iter()
            .collect();
        let path = place.path.with_file_name(&name);
        let io = |action| Error::io(action, &path);
        let mut patience = Patience::new();
        loop {
            let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
            match sys::open_at(&place.folder, &name, flags, 0o600) {
                Ok(file) => {
                    // Between creation and lock somebody may have taken it for a leftover.
                    let metadata = file.metadata().map_err(io("look at"))?;
                    if sys::try_lock(&file).map_err(io("lock"))?
                        && is_named(place, &name, &metadata)?
                    {
                        let new = NewName {
                            place,
                            name,
                            renamed: false,
                        };
                        return Ok((new, file));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    remove_leftover(place, &name)?;
                }
                Err(error) => return Err(io("create")(error)),
            }
            if !patience.wait() {
                return Err(Error::Locked(path));
            }
        }
    }

    fn rename(mut self) -> Result<(), Error> {
        let Place { folder, name, .. } = self.place;
        sys::rename_at(folder, &self.name, name).map_err(Error::io("replace", &self.place.path))?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for NewName<'_> {
    fn drop(&mut self) {
        if !self.renamed {
            // If even that fails, the next login recognises it as a leftover.
            let _ = sys::unlink_at(&self.place.folder, &self.name);
        }
    }
}

/// Gives a new file the owner, ACL, labels and mode of the old one, in an order in which it is
/// never open to more people than that.
fn make_like(old: &File, old_metadata: &Metadata, new: &File) -> io::Result<()> {
    const ACL: &CStr = c"system.posix_acl_access";
    let created = new.metadata()?;
    if (created.uid(), created.gid()) != (old_metadata.uid(), old_metadata.gid()) {
        fchown(new, Some(old_metadata.uid()), Some(old_metadata.gid()))?;
    }
    let names = sys::attribute_names(old)?;
    let has_acl = |names: &[CString]| names.iter().any(|name| name.as_c_str() == ACL);
    if !has_acl(&names) && has_acl(&sys::attribute_names(new)?) {
        // The folder's default ACL gave it one that the old file has not.
        sys::remove_attribute(new, ACL)?;
    }
    for name in names {
        if let Some(value) = sys::attribute(old, &name)? {
            if sys::attribute(new, &name)?.as_ref() != Some(&value) {
                sys::set_attribute(new, &name, &value)?;
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
        let file = match sys::open_at(&place.folder, name, flags, 0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file.map_err(Error::io("open", &path))?,
        };
        let metadata = file.metadata().map_err(Error::io("look at", &path))?;
        if !sys::try_lock(&file).map_err(Error::io("lock", &path))?
            || !is_named(place, name, &metadata)?
        {
            return Ok(());
        }
        leftover = Some(file);
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

//! Whose path is it? A walk from `/`, one folder at a time, that nobody can swap underfoot.
//!
//! Every step opens the next name without following links and looks at what was opened, so what
//! was checked is what is used. On the way either every folder is root's, or from some folder
//! downward everything belongs to one other user: a home directory, a service account. From
//! there on every file operation is done with that user's rights, and nothing that belongs to
//! somebody else is touched. In root's own folders, links that root made are followed.
//!
//! A process that is not root walks by the same rules, its own user counting as root does.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use super::{Error, is_trusted};
use crate::sys::{self, Account, FsCredentials};

const WRITABLE_BY_ALL: u32 = 0o002;
const STICKY: u32 = 0o1000;
/// As many links as the kernel itself follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// The folder that holds the file, reached safely, and the file's name in it. While a place is
/// held, this thread has the rights of the user the folder belongs to.
pub struct Place {
    /// The folder, open as a path.
    pub folder: File,
    /// The file's name in it.
    pub name: OsString,
    /// What had that name when the walk came there, if anything did.
    pub found: Option<Metadata>,
    /// The path that was walked in the end, links resolved.
    pub path: PathBuf,
    /// What each link on the way made of the path.
    pub through: Vec<PathBuf>,
    /// Whether the file's name, as it was given, was a link.
    pub is_link: bool,
    /// The one user besides root whose folder it is.
    pub owner: Option<Account>,
    /// Whether everybody may put files into the folder (its sticky bit is set, then).
    shared: bool,
    _rights: Option<FsCredentials>,
}

impl Place {
    /// Walks to the folder of `path`, which must be absolute. With `home_of`, whatever does not
    /// belong to root must belong to that user.
    pub fn find(path: &Path, home_of: Option<u32>) -> Result<Place, Error> {
        let mut walk = Walk::start()?;
        let mut ahead = Vec::new();
        let mut through = Vec::new();
        let mut is_link = false;
        push_components(&mut ahead, path);
        loop {
            let Some(name) = ahead.pop() else {
                return Err(Error::refused(walk.path, "is a folder"));
            };
            let is_last = ahead.is_empty();
            let next = match walk.open(&name, is_last) {
                // Root may be held down (root_squash, no capabilities) where the user whose home
                // it is may pass, by a group of hers.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => match home_of {
                    Some(uid) if walk.rights.is_none() => {
                        walk.assume_rights(uid)?;
                        walk.open(&name, is_last)
                    }
                    _ => Err(error),
                },
                next => next,
            };
            let next = match next {
                Err(error) if is_last && error.kind() == io::ErrorKind::NotFound => {
                    return walk.arrive(name, None, (through, is_link), home_of);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(Error::MissingFolder(walk.path.join(name)));
                }
                next => next.map_err(walk.io("open", &name))?,
            };
            let metadata = next.metadata().map_err(walk.io("look at", &name))?;
            walk.check_in_shared_folder(&name, &metadata)?;
            if metadata.is_symlink() {
                if through.len() >= MAX_LINKS {
                    return Err(Error::refused(
                        path,
                        "leads through too many symbolic links",
                    ));
                }
                let target = walk.link_target(&name, &next, &metadata)?;
                if target.is_absolute() {
                    // Only root's own links get here, so there are no rights to carry along.
                    walk = Walk::start()?;
                }
                is_link |= is_last;
                push_components(&mut ahead, &target);
                through.push(walk.path.join(ahead.iter().rev().collect::<PathBuf>()));
            } else if is_last {
                return walk.arrive(name, Some(metadata), (through, is_link), home_of);
            } else {
                walk.enter(&name, next, &metadata)?;
            }
        }
    }

    /// Refuses a file in this place that is not its owner's to use; `file` is what was opened.
    pub fn check_file(&self, metadata: &Metadata) -> Result<(), Error> {
        // What a user may make the module read, in MiB: in a folder of the user's own, and in one
        // of root's, where others' lines may be in the same file.
        const MAX_IN_OWN_FOLDER: u64 = 1;
        const MAX_GIVEN_AWAY: u64 = 4;
        let refused = |problem: String| Err(Error::refused(&self.path, problem));
        if !metadata.is_file() {
            return refused("is not a regular file".into());
        }
        if metadata.mode() & WRITABLE_BY_ALL != 0 {
            return refused(format!(
                "is writable by others; run chmod 600 {}",
                self.path.display()
            ));
        }
        if let Some(owner) = &self.owner {
            let name = owner.name.to_string_lossy();
            if metadata.uid() != owner.uid {
                return refused(format!(
                    "belongs to uid {}, in a folder that belongs to {name}; keep it in a folder of \
                     root's, or run chown {name} {} if {name} may change it",
                    metadata.uid(),
                    self.path.display()
                ));
            }
            if metadata.nlink() > 1 {
                return refused(format!(
                    "has {} names (hard links); make it a file of its own",
                    metadata.nlink()
                ));
            }
        }
        let limit = match &self.owner {
            Some(_) => Some(MAX_IN_OWN_FOLDER),
            None if !is_trusted(metadata.uid()) => Some(MAX_GIVEN_AWAY),
            None => None,
        };
        match limit {
            Some(limit) if metadata.len() > limit << 20 => refused(format!(
                "is {} bytes long; a usersfile that is not root's may have {limit} MiB here",
                metadata.len()
            )),
            _ => Ok(()),
        }
    }

    /// What is not as it should be with a file that is used nevertheless.
    pub fn warnings(&self, metadata: &Metadata) -> Vec<String> {
        let path = self.path.display();
        let mut warnings = Vec::new();
        if metadata.mode() & 0o004 != 0 {
            warnings.push(format!(
                "{path} is readable by others; run chmod 600 {path}"
            ));
        }
        if metadata.mode() & 0o020 != 0 {
            warnings.push(format!(
                "{path} is writable by its group; run chmod 600 {path}"
            ));
        }
        if self.owner.is_none() && !is_trusted(metadata.uid()) {
            warnings.push(format!(
                "{path} belongs to uid {} in a folder that does not; run chown root {path}",
                metadata.uid()
            ));
        }
        warnings
    }

    /// Whether something else in this folder is none of the owner's: put there by somebody who
    /// has no business there, or a file that the owner's rights don't open.
    pub fn is_intruder(&self, metadata: &Metadata) -> bool {
        let uid = metadata.uid();
        match &self.owner {
            Some(owner) => uid != owner.uid,
            None => self.shared && !is_trusted(uid),
        }
    }
}

/// Pushes the names of `path` so that the first is popped first.
fn push_components(ahead: &mut Vec<OsString>, path: &Path) {
    ahead.extend(path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    }));
}

struct Walk {
    folder: File,
    metadata: Metadata,
    path: PathBuf,
    owner: Option<Account>,
    rights: Option<FsCredentials>,
}

impl Walk {
    fn start() -> Result<Walk, Error> {
        let root = Path::new("/");
        let folder = File::options()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
            .open(root)
            .map_err(Error::io("open", root))?;
        let metadata = folder.metadata().map_err(Error::io("look at", root))?;
        Ok(Walk {
            folder,
            metadata,
            path: root.to_owned(),
            owner: None,
            rights: None,
        })
    }

    fn io<'a>(
        &'a self,
        action: &'static str,
        name: &'a OsStr,
    ) -> impl FnOnce(io::Error) -> Error + 'a {
        move |cause| Error::io(action, &self.path.join(name))(cause)
    }

    fn is_shared(&self) -> bool {
        self.metadata.mode() & WRITABLE_BY_ALL != 0
    }

    /// In a folder that everybody may write to, only what its owner or root put there counts.
    fn check_in_shared_folder(&self, name: &OsStr, metadata: &Metadata) -> Result<(), Error> {
        let uid = metadata.uid();
        if self.is_shared() && !is_trusted(uid) && uid != self.metadata.uid() {
            return Err(Error::refused(
                self.path.join(name),
                format!("belongs to uid {uid}, in a folder that everybody can write to"),
            ));
        }
        Ok(())
    }

    /// Goes down into a folder, and over to its owner's rights if that is not root.
    fn enter(&mut self, name: &OsStr, folder: File, metadata: &Metadata) -> Result<(), Error> {
        match name.as_bytes() {
            // Exact, since no link is left in what was walked.
            b".." => drop(self.path.pop()),
            _ => self.path.push(name),
        }
        if !metadata.is_dir() {
            return Err(Error::refused(&self.path, "is not a folder"));
        }
        if metadata.mode() & (WRITABLE_BY_ALL | STICKY) == WRITABLE_BY_ALL {
            return Err(Error::refused(
                &self.path,
                format!(
                    "is a folder that everybody can write to; run chmod o-w {}",
                    self.path.display()
                ),
            ));
        }
        let uid = metadata.uid();
        match &self.owner {
            Some(owner) if owner.uid == uid => {}
            Some(owner) => {
                return Err(Error::refused(
                    &self.path,
                    format!(
                        "belongs to uid {uid}, in a folder that belongs to {}",
                        owner.name.to_string_lossy()
                    ),
                ));
            }
            None if is_trusted(uid) => {}
            None => self.become_owner(uid)?,
        }
        self.folder = folder;
        self.metadata = metadata.clone();
        Ok(())
    }

    /// Opens the next name on the way, as a mere path and no link followed.
    fn open(&self, name: &OsStr, is_last: bool) -> io::Result<File> {
        let open = |kind| sys::open_at(&self.folder, name, libc::O_PATH | kind, 0);
        match open(if is_last { 0 } else { libc::O_DIRECTORY }) {
            // A folder is asked for as such, so that an automounter mounts it; a link is none.
            Err(error) if error.raw_os_error() == Some(libc::ENOTDIR) => open(0),
            next => next,
        }
    }

    fn become_owner(&mut self, uid: u32) -> Result<(), Error> {
        self.owner = Some(self.assume_rights(uid)?);
        Ok(())
    }

    /// Goes over to the rights of a user, where this process is root; returns the account.
    fn assume_rights(&mut self, uid: u32) -> Result<Account, Error> {
        let account = sys::account_by_uid(uid)
            .map_err(Error::io("find the owner of", &self.path))?
            .ok_or_else(|| {
                Error::refused(
                    &self.path,
                    format!("belongs to uid {uid}, which has no account"),
                )
            })?;
        if sys::effective_user() == 0 {
            // What was is given back before, so that no rights but the last are taken away.
            self.rights = None;
            let rights = FsCredentials::assume(&account)
                .map_err(Error::io("take the rights of the owner of", &self.path))?;
            self.rights = Some(rights);
        }
        Ok(account)
    }

    fn link_target(
        &self,
        name: &OsStr,
        link: &File,
        metadata: &Metadata,
    ) -> Result<PathBuf, Error> {
        if self.owner.is_some() || !is_trusted(metadata.uid()) {
            return Err(Error::refused(
                self.path.join(name),
                "is a symbolic link that is not root's; name the path it leads to",
            ));
        }
        sys::read_link(link)
            .map(PathBuf::from)
            .map_err(self.io("read the link", name))
    }

    fn arrive(
        self,
        name: OsString,
        found: Option<Metadata>,
        (through, is_link): (Vec<PathBuf>, bool),
        home_of: Option<u32>,
    ) -> Result<Place, Error> {
        let path = self.path.join(&name);
        if let Some(owner) = &self.owner {
            if home_of.is_some_and(|user| user != owner.uid) {
                return Err(Error::refused(
                    &self.path,
                    format!(
                        "belongs to {}, who is not the user logging in",
                        owner.name.to_string_lossy()
                    ),
                ));
            }
        }
        if name.as_bytes() == b".." {
            return Err(Error::refused(path, "is a folder"));
        }
        Ok(Place {
            shared: self.is_shared(),
            folder: self.folder,
            name,
            found,
            path,
            through,
            is_link,
            owner: self.owner,
            _rights: self.rights,
        })
    }
}

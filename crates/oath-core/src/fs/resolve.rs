//! The walk from `/` to a file, one folder at a time, that checks every owner and that nobody can
//! redirect while it is done.
//!
//! What was checked is what is used. As long as only root can change what the names on the way stand
//! for, they are looked at by their path; from the first folder on in which somebody else can, every
//! step opens the next name without following links and examines what was opened. On the way either
//! every folder is root's, or from some folder downward everything belongs to one other user: a home
//! directory, a service account. From there on every file operation is done with that user's rights,
//! and nothing that belongs to somebody else is used. In root's own folders, links that root made are
//! followed.
//!
//! A process that is not root walks by the same rules, its own user counting as root does.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::{Error, FilePath, Problem, Warning, is_trusted};
use crate::sys::{self, Account, FsCredentials};

const WRITABLE_BY_ALL: u32 = 0o002;
const WRITABLE_BY_GROUP: u32 = 0o020;
const STICKY: u32 = 0o1000;
/// As many links as the kernel itself follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// The folder that holds a file, reached safely, and the file's name in it. As long as this lives,
/// the thread has the rights of the user that the folder belongs to.
pub struct ResolvedPath {
    /// The folder, open as a path.
    pub folder: File,
    /// The file's name in it.
    pub name: OsString,
    /// What had that name when the walk arrived, if anything did.
    pub found: Option<Metadata>,
    /// The path that was walked in the end, links resolved.
    pub path: PathBuf,
    /// What each link on the way made of the path.
    pub(super) through: Vec<PathBuf>,
    /// Whether the file's name, as it was given, was a link.
    pub is_link: bool,
    /// The one user besides root whose folder it is.
    pub owner: Option<Account>,
    /// Whether others than its owner may put files into the folder.
    shared: bool,
    /// Whether the file itself may be anybody's.
    any_owner: bool,
    _credentials: Option<FsCredentials>,
}

impl ResolvedPath {
    /// Walks to the folder of the file, whose path must be absolute.
    pub(super) fn of(file: &FilePath) -> Result<ResolvedPath, Error> {
        let (path, home_of) = (file.path(), file.home_of);
        let mut resolver = Resolver::start(file.account.as_ref())?;
        let mut ahead = Vec::new();
        let mut through = Vec::new();
        let mut is_link = false;
        push_components(&mut ahead, path);
        loop {
            let Some(name) = ahead.pop() else {
                return Err(Error::refused(resolver.path, Problem::IsFolder));
            };
            let is_last = ahead.is_empty();
            let next = match resolver.look(&name, is_last) {
                // Root may lack the right to pass (root_squash, no capabilities) where the user
                // whose home it is has it, by one of that user's groups.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => match home_of {
                    Some(uid) if resolver.credentials.is_none() => {
                        resolver.assume_credentials(uid)?;
                        resolver.look(&name, is_last)
                    }
                    _ => Err(error),
                },
                next => next,
            };
            let next = match next {
                Err(error) if is_last && error.kind() == io::ErrorKind::NotFound => {
                    return resolver.arrive(name, None, (through, is_link), file);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(Error::MissingFolder(resolver.path.join(name)));
                }
                next => next.map_err(resolver.io("look at", &name))?,
            };
            resolver.check_in_shared_folder(&name, &next.metadata)?;
            if next.metadata.is_symlink() {
                if through.len() >= MAX_LINKS {
                    return Err(Error::refused(path, Problem::TooManyLinks));
                }
                let target = resolver.link_target(&name, &next)?;
                if target.is_absolute() {
                    // Only root's own links get here, or those of the user whose rights are taken
                    // anew: there are no others to carry along.
                    drop(resolver);
                    resolver = Resolver::start(file.account.as_ref())?;
                }
                is_link |= is_last;
                push_components(&mut ahead, &target);
                through.push(resolver.path.join(ahead.iter().rev().collect::<PathBuf>()));
            } else if is_last {
                return resolver.arrive(name, Some(next.metadata), (through, is_link), file);
            } else {
                resolver.enter(&name, next)?;
            }
        }
    }

    /// Refuses a file under this path that is not safe to use; `metadata` is what was found there
    /// or opened.
    ///
    /// # Errors
    /// [`Error::Refused`], with what is wrong.
    pub fn check_file(&self, metadata: &Metadata) -> Result<(), Error> {
        // What a user may make the module read, in MiB: in a folder of the user's own, and in one
        // of root's, where others' lines may be in the same file.
        const MAX_IN_OWN_FOLDER: u64 = 1;
        const MAX_GIVEN_AWAY: u64 = 4;
        let refused = |problem| Err(Error::refused(&self.path, problem));
        if !metadata.is_file() {
            return refused(Problem::NotRegular);
        }
        if metadata.mode() & WRITABLE_BY_ALL != 0 {
            return refused(Problem::WritableByOthers);
        }
        if let Some(owner) = &self.owner {
            if metadata.uid() != owner.uid && !self.any_owner {
                return refused(Problem::NotOwners {
                    uid: metadata.uid(),
                    owner: owner.name.clone(),
                });
            }
            if metadata.nlink() > 1 {
                return refused(Problem::HardLinks {
                    names: metadata.nlink(),
                });
            }
        }
        let limit = match &self.owner {
            Some(_) => Some(MAX_IN_OWN_FOLDER),
            None if !is_trusted(metadata.uid()) => Some(MAX_GIVEN_AWAY),
            None => None,
        };
        match limit {
            Some(limit) if metadata.len() > limit << 20 => refused(Problem::TooLarge {
                length: metadata.len(),
                limit,
            }),
            _ => Ok(()),
        }
    }

    /// Ownership and mode problems of a file that is used nevertheless.
    pub(super) fn warnings(&self, metadata: &Metadata) -> Vec<Warning> {
        const READABLE_BY_ALL: u32 = 0o004;
        let path = || self.path.clone();
        let mut warnings = Vec::new();
        if metadata.mode() & READABLE_BY_ALL != 0 {
            warnings.push(Warning::ReadableByOthers(path()));
        }
        if metadata.mode() & WRITABLE_BY_GROUP != 0 {
            warnings.push(Warning::WritableByGroup(path()));
        }
        if self.owner.is_none() && !is_trusted(metadata.uid()) {
            warnings.push(Warning::GivenAway {
                path: path(),
                uid: metadata.uid(),
            });
        }
        warnings
    }

    /// Whether another file in this folder belongs to somebody whose files do not count here: another
    /// than the folder's owner, or in a folder that others may write to, another than root.
    pub(super) fn is_foreign(&self, metadata: &Metadata) -> bool {
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

/// How far the walk has come.
struct Resolver {
    /// The folder, open as a path; `None` as long as only root can change what `path` leads to.
    folder: Option<File>,
    metadata: Metadata,
    path: PathBuf,
    owner: Option<Account>,
    credentials: Option<FsCredentials>,
    /// Whether the owner's rights were taken before the first step.
    is_walked_by_owner: bool,
}

/// What the next name on the way stands for.
struct Next {
    metadata: Metadata,
    /// It, open as a path, unless the folder is not open either.
    file: Option<File>,
}

impl Resolver {
    /// Begins at `/`, with the rights of `account` if one is given that is not as good as root.
    fn start(account: Option<&Account>) -> Result<Resolver, Error> {
        let root = Path::new("/");
        let metadata = root
            .symlink_metadata()
            .map_err(Error::io("look at", root))?;
        let mut resolver = Resolver {
            folder: None,
            metadata,
            path: root.to_owned(),
            owner: None,
            credentials: None,
            is_walked_by_owner: false,
        };
        resolver.open_unless_only_roots()?;
        if let Some(account) = account.filter(|account| account.uid != 0) {
            resolver.take_rights(account)?;
            resolver.owner = Some(account.clone());
            resolver.is_walked_by_owner = true;
        }
        Ok(resolver)
    }

    fn io<'a>(
        &'a self,
        action: &'static str,
        name: &'a OsStr,
    ) -> impl FnOnce(io::Error) -> Error + 'a {
        move |cause| Error::io(action, &self.path.join(name))(cause)
    }

    fn is_shared(&self) -> bool {
        self.metadata.mode() & (WRITABLE_BY_ALL | WRITABLE_BY_GROUP) != 0
    }

    /// In a folder that others than its owner may write to, only what its owner or root put there
    /// counts.
    fn check_in_shared_folder(&self, name: &OsStr, metadata: &Metadata) -> Result<(), Error> {
        let uid = metadata.uid();
        if self.is_shared() && !is_trusted(uid) && uid != self.metadata.uid() {
            return Err(Error::refused(
                self.path.join(name),
                Problem::NotFolderOwners { uid },
            ));
        }
        Ok(())
    }

    /// Goes down into a folder, and takes its owner's rights if that is not root.
    fn enter(&mut self, name: &OsStr, next: Next) -> Result<(), Error> {
        let Next { metadata, file } = next;
        match name.as_bytes() {
            // Exact, since no link is left in what was walked.
            b".." => drop(self.path.pop()),
            _ => self.path.push(name),
        }
        if !metadata.is_dir() {
            return Err(Error::refused(&self.path, Problem::NotFolder));
        }
        if metadata.mode() & (WRITABLE_BY_ALL | STICKY) == WRITABLE_BY_ALL {
            return Err(Error::refused(&self.path, Problem::FolderWritableByOthers));
        }
        let uid = metadata.uid();
        self.folder = file;
        self.metadata = metadata;
        self.open_unless_only_roots()?;
        match &self.owner {
            Some(owner) if owner.uid == uid => {}
            Some(_) if self.is_walked_by_owner && is_trusted(uid) => {}
            Some(owner) => {
                let first = owner.name.clone();
                return Err(Error::refused(
                    &self.path,
                    Problem::SecondOwner { uid, first },
                ));
            }
            None if is_trusted(uid) => {}
            None => self.assume_owner(uid)?,
        }
        Ok(())
    }

    /// Opens the folder, unless nobody but root can change what the names in it stand for. In a
    /// folder that everybody may write to (with the sticky bit) that is decided for each name.
    fn open_unless_only_roots(&mut self) -> Result<(), Error> {
        let is_only_roots =
            is_trusted(self.metadata.uid()) && self.metadata.mode() & WRITABLE_BY_GROUP == 0;
        if self.folder.is_none() && !(is_only_roots && is_by_statx(&self.metadata)) {
            self.folder = Some(self.open_by_path()?);
        }
        Ok(())
    }

    /// The folder that the path leads to, as a mere path.
    fn open_by_path(&self) -> Result<File, Error> {
        sys::open_folder(&self.path).map_err(Error::io("open", &self.path))
    }

    /// Looks at the next name on the way, no link followed.
    fn look(&mut self, name: &OsStr, is_last: bool) -> io::Result<Next> {
        let folder = match &self.folder {
            Some(folder) => folder,
            None => {
                let metadata = self.path.join(name).symlink_metadata()?;
                if !self.is_shared() || is_trusted(metadata.uid()) {
                    let file = None;
                    return Ok(Next { metadata, file });
                }
                self.folder.insert(sys::open_folder(&self.path)?)
            }
        };
        let open = |kind| sys::open_at(folder, name, libc::O_PATH | kind, 0);
        let file = match open(if is_last { 0 } else { libc::O_DIRECTORY }) {
            // A folder is asked for as such, so that an automounter mounts it; a link is none.
            Err(error) if error.raw_os_error() == Some(libc::ENOTDIR) => open(0),
            file => file,
        }?;
        Ok(Next {
            metadata: file.metadata()?,
            file: Some(file),
        })
    }

    fn assume_owner(&mut self, uid: u32) -> Result<(), Error> {
        self.owner = Some(self.assume_credentials(uid)?);
        Ok(())
    }

    /// Takes the rights of a user, where this process is root; returns the account.
    fn assume_credentials(&mut self, uid: u32) -> Result<Account, Error> {
        let account = sys::account_by_uid(uid)
            .map_err(Error::io("find the owner of", &self.path))?
            .ok_or_else(|| Error::refused(&self.path, Problem::OwnerWithoutAccount { uid }))?;
        self.take_rights(&account)?;
        Ok(account)
    }

    fn take_rights(&mut self, account: &Account) -> Result<(), Error> {
        if sys::effective_user() == 0 {
            // The thread's own are restored first: these are what dropping the new ones restores.
            self.credentials = None;
            let credentials = FsCredentials::assume(account)
                .map_err(Error::io("take the rights of the owner of", &self.path))?;
            self.credentials = Some(credentials);
        }
        Ok(())
    }

    fn link_target(&self, name: &OsStr, next: &Next) -> Result<PathBuf, Error> {
        let Next { metadata, file } = next;
        let is_owners = match &self.owner {
            Some(owner) => self.is_walked_by_owner && metadata.uid() == owner.uid,
            None => false,
        };
        let is_roots = is_trusted(metadata.uid());
        let follows_roots = self.owner.is_none() || self.is_walked_by_owner;
        let is_followed = is_owners || (is_roots && follows_roots);
        if !is_followed {
            return Err(Error::refused(self.path.join(name), Problem::LinkNotRoots));
        }
        match file {
            Some(link) => sys::read_link(link).map(PathBuf::from),
            None => self.path.join(name).read_link(),
        }
        .map_err(self.io("read the link", name))
    }

    fn arrive(
        self,
        name: OsString,
        found: Option<Metadata>,
        (through, is_link): (Vec<PathBuf>, bool),
        file: &FilePath,
    ) -> Result<ResolvedPath, Error> {
        let path = self.path.join(&name);
        if let Some(owner) = &self.owner {
            if file.home_of.is_some_and(|user| user != owner.uid) {
                let owner = owner.name.clone();
                return Err(Error::refused(&self.path, Problem::NotUsersHome { owner }));
            }
        }
        if name.as_bytes() == b".." {
            return Err(Error::refused(path, Problem::IsFolder));
        }
        let shared = self.is_shared();
        let folder = match self.folder {
            Some(folder) => folder,
            None => self.open_by_path()?,
        };
        Ok(ResolvedPath {
            shared,
            any_owner: file.any_owner,
            folder,
            name,
            found,
            path,
            through,
            is_link,
            owner: self.owner,
            _credentials: self.credentials,
        })
    }
}

/// Whether this was told by statx(2), which has an automounter mount what it looks at. The older calls
/// do not, and would tell of the folder below.
fn is_by_statx(metadata: &Metadata) -> bool {
    // Nothing else tells when a file was made.
    metadata.created().is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::fs::Deadline;

    #[test]
    fn a_file_that_everybody_can_read_or_its_group_can_write_is_used_with_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.oath");
        std::fs::write(&path, "").unwrap();
        let warnings = |mode| {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let file = FilePath::new(path.clone());
            file.with_lock(&Deadline::begin(), |_| Ok(()))
                .map(|((), warnings)| warnings)
        };
        let readable = || Warning::ReadableByOthers(path.clone());
        let writable = || Warning::WritableByGroup(path.clone());
        for mode in [0o600, 0o400, 0o640, 0o650] {
            assert_eq!(warnings(mode).unwrap(), [], "{mode:o}");
        }
        assert_eq!(warnings(0o604).unwrap(), [readable()]);
        assert_eq!(warnings(0o660).unwrap(), [writable()]);
        assert_eq!(warnings(0o664).unwrap(), [readable(), writable()]);
        let refused = warnings(0o602).unwrap_err().problem();
        assert_eq!(refused, Problem::WritableByOthers.to_string());
    }
}

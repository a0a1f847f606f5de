//! The options that every command has, and what follows from them: the usersfile, the PAM
//! services that use it, the time.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use oath_core::fs::{self, Deadline};
use oath_core::options::Options;
use oath_core::sys;
use oath_core::usersfile::Document;
use oath_core::usersfile::{self, Template, Usersfile};

use crate::check::stack::parse::Root;
use crate::error::Error;
use crate::output;
use crate::pam_config::{self, ModuleLine, ServiceStack};
use crate::secret_file;
use crate::terminal;
use crate::tokens::{self, DisplayName};

/// The options that every command has.
#[derive(Args)]
pub(crate) struct Config {
    /// The usersfile, if not the one that the PAM configuration names (/etc/users.oath, or one in
    /// /etc/liboath or /etc/security, if it names none). ${USER} and ${HOME} stand for the user's
    /// name and home directory
    #[arg(long, global = true, value_name = "FILE", display_order = 100)]
    usersfile: Option<OsString>,

    /// Another folder in place of /etc/pam.d
    #[arg(long, global = true, hide = true, value_name = "FOLDER")]
    pam_dir: Option<PathBuf>,

    /// Another time in place of now, in seconds since 1970
    #[arg(long, global = true, hide = true, value_name = "SECONDS")]
    now: Option<u64>,
}

impl Config {
    /// Every line of the PAM configuration that names the module.
    pub(crate) fn module_lines(&self) -> Result<Vec<ModuleLine>, Error> {
        pam_config::module_lines(self.pam_dir.as_deref())
    }

    /// Every PAM service, with its stack.
    pub(crate) fn pam_services(&self) -> Result<Vec<ServiceStack>, Error> {
        pam_config::services(self.pam_dir.as_deref())
    }

    /// Where PAM services are configured.
    pub(crate) fn pam_root(&self) -> Root {
        pam_config::root(self.pam_dir.as_deref())
    }

    /// Whether the services are those of this system, so that their modules must be installed here.
    pub(crate) fn has_own_pam(&self) -> bool {
        self.pam_dir.is_none()
    }

    /// The lines of the PAM configuration that name the module with this usersfile.
    pub(crate) fn module_lines_of_usersfile(&self) -> Result<Vec<ModuleLine>, Error> {
        let template = self.template()?;
        let mut module_lines = self.module_lines()?;
        module_lines.retain(|found| found.options.usersfile == template);
        Ok(module_lines)
    }

    /// The module's arguments in the service `name`, else in all services that use this usersfile,
    /// which must agree. Without a service they are the module's defaults.
    pub(crate) fn service(&self, name: Option<&str>) -> Result<Service, Error> {
        let mut module_lines = self.module_lines_of_usersfile()?;
        if let Some(name) = name {
            module_lines.retain(|found| found.services.iter().any(|service| service == name));
            if module_lines.is_empty() {
                return Err(Error::usage(format!(
                    "no service {name} in the PAM configuration uses this usersfile"
                )));
            }
        }
        let differ = |pair: &[ModuleLine]| {
            deciding_arguments(&pair[0].options) != deciding_arguments(&pair[1].options)
        };
        if module_lines.windows(2).any(differ) {
            let mut message = String::from("the services ask for different things:");
            for found in &module_lines {
                message += &format!("\n  {}: {}", found.service, arguments(&found.options));
            }
            message += "\nsay which with --service NAME";
            return Err(Error::usage(message));
        }
        for found in &module_lines {
            for warning in &found.warnings {
                output::warn(&format!("{}: {warning}", found.service));
            }
        }
        let mut names: Vec<String> = module_lines
            .iter()
            .map(|found| found.service.clone())
            .collect();
        names.dedup();
        Ok(Service {
            names,
            options: module_lines
                .into_iter()
                .next()
                .map(|found| found.options)
                .unwrap_or_default(),
        })
    }

    /// The usersfile: `--usersfile`, else the one that the PAM configuration names, else
    /// `/etc/users.oath`. A name with `${USER}` or `${HOME}` in it needs to know for whom.
    pub(crate) fn usersfile(&self, user: Option<&OsStr>) -> Result<Usersfile, Error> {
        let template = self.template()?;
        secret_file::check_is_usersfile(self, &template)?;
        let per_user = Template::new(&template).is_per_user();
        match user {
            Some(user) => Ok(Usersfile::named(&template, user)?),
            None if per_user => Err(Error::usage(format!(
                "each user has a file of their own, {}; name the user",
                Path::new(&template).display()
            ))),
            None => Ok(Usersfile::named(&template, OsStr::new("root"))?),
        }
    }

    /// What `--usersfile` names, made absolute.
    pub(crate) fn given_usersfile(&self) -> Result<Option<OsString>, Error> {
        let Some(given) = &self.usersfile else {
            return Ok(None);
        };
        let path = Path::new(given);
        // What begins with ${HOME} will be absolute.
        if path.is_absolute() || given.to_string_lossy().starts_with("${HOME}") {
            return Ok(Some(given.clone()));
        }
        std::path::absolute(path)
            .map(|path| Some(path.into_os_string()))
            .map_err(Error::io("find the current folder"))
    }

    /// What names the usersfile, with `${USER}` and `${HOME}` in it.
    pub(crate) fn template(&self) -> Result<OsString, Error> {
        if let Some(given) = self.given_usersfile()? {
            return Ok(given);
        }
        let module_lines = self.module_lines()?;
        let Some(first) = module_lines.first() else {
            return unnamed_usersfile();
        };
        let template = &first.options.usersfile;
        if module_lines
            .iter()
            .all(|other| other.options.usersfile == *template)
        {
            return Ok(template.clone());
        }
        if let Some(at_home) = usersfile_at_home(&module_lines) {
            return Ok(at_home);
        }
        let mut message = String::from("the PAM configuration names several usersfiles:");
        for found in &module_lines {
            let usersfile = Path::new(&found.options.usersfile).display();
            message += &format!("\n  {usersfile} ({})", found.place);
        }
        message += "\nsay which with --usersfile FILE";
        Err(Error::usage(message))
    }

    /// Warns if no PAM service names a usersfile and this is another than a line without `usersfile=`
    /// would use.
    pub(crate) fn warn_if_unnamed(&self, usersfile: &Usersfile) -> Result<(), Error> {
        let path = usersfile.path();
        let is_default = path == Path::new(&Options::default().usersfile);
        if self.usersfile.is_none() && !is_default && self.module_lines()?.is_empty() {
            let path = path.display();
            output::warn(&format!(
                "no PAM service uses the module yet; {path} is there and is taken, and the line of \
                 the module needs usersfile={path}"
            ));
        }
        Ok(())
    }

    /// Reads the usersfile. Ownership and mode problems are printed as warnings.
    pub(crate) fn read(&self, usersfile: &Usersfile) -> Result<Document, Error> {
        let (document, warnings) = usersfile.read()?;
        warn(&warnings);
        Ok(document)
    }

    /// Changes the usersfile under its lock. From then on signals are held until the new file is
    /// in place.
    pub(crate) fn edit<T>(
        &self,
        usersfile: &Usersfile,
        mut change: impl FnMut(&mut Document) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut held = None;
        let (answer, warnings) = usersfile.edit(|document| {
            held.get_or_insert_with(terminal::hold_signals);
            change(document)
        })?;
        warn(&warnings);
        Ok(answer)
    }

    /// Removes a line that was just appended, and that nobody else has touched.
    pub(crate) fn remove_appended(&self, usersfile: &Usersfile, text: &[u8]) -> Result<(), Error> {
        self.edit(usersfile, |document| {
            let appended = document.lines().filter(|line| line.text == text).last();
            let number = appended.map(|line| line.number);
            number
                .map(|number| tokens::remove(document, number))
                .ok_or_else(|| Error::failed("another program has changed it"))
        })
    }

    /// As [`edit`](Config::edit); a usersfile that does not exist is created, with a header that
    /// explains its format.
    pub(crate) fn edit_or_create<T>(
        &self,
        usersfile: &Usersfile,
        mut change: impl FnMut(&mut Document) -> Result<T, Error>,
    ) -> Result<T, Error> {
        // Another oathctl may just have created the file, and not written its header yet.
        let mut change = |document: &mut Document| {
            if document.text().is_empty() {
                *document = Document::new(HEADER.as_bytes());
            }
            change(document)
        };
        match self.edit(usersfile, &mut change) {
            Err(Error::Usersfile(usersfile::Error::File(
                fs::Error::Missing(_) | fs::Error::DanglingLink { .. },
            ))) => {}
            result => return result,
        }
        let _held = terminal::hold_signals();
        let (answer, warnings) = usersfile.edit_or_create(change)?;
        warn(&warnings);
        Ok(answer)
    }

    /// Warns if the user has no token left and a PAM service then asks for no code at all, or if
    /// nobody has one.
    pub(crate) fn warn_if_unknown(&self, usersfile: &Usersfile, user: &OsStr) -> Result<(), Error> {
        if usersfile.prescan(user, &Deadline::begin())?.is_known() {
            return Ok(());
        }
        let user = user.display_name();
        let (document, _) = usersfile.read()?;
        let is_last = tokens::all(&document).all(|token| token.disabled);
        // The change is made already, so a PAM configuration that cannot be read is no error.
        for found in self.module_lines_of_usersfile().unwrap_or_default() {
            if found.lets_unknown_users_pass() {
                output::warn(&format!(
                    "{user} has no token now, and {} asks users without a token for no code \
                     ({}, {})",
                    found.service, found.place, found.control
                ));
            } else if is_last {
                output::warn(&format!(
                    "{} has no token left, so nobody can log in by {} ({})",
                    usersfile.path().display(),
                    found.service,
                    found.place
                ));
            }
        }
        Ok(())
    }

    /// Now, in seconds since 1970.
    pub(crate) fn now(&self) -> Result<u64, Error> {
        if let Some(now) = self.now {
            return Ok(now);
        }
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map(|since| since.as_secs())
            .map_err(|_| Error::failed("the system's clock stands before 1970"))
    }
}

/// Of several usersfiles the one in the user's home, for who is not root: the others are not hers
/// to change.
fn usersfile_at_home(module_lines: &[ModuleLine]) -> Option<OsString> {
    if sys::effective_user() == 0 {
        return None;
    }
    let templates = module_lines.iter().map(|found| &found.options.usersfile);
    let mut at_home = templates.filter(|template| Template::new(template).names_home());
    let first = at_home.next()?;
    at_home.all(|other| other == first).then(|| first.clone())
}

fn warn(warnings: &[fs::Warning]) {
    for warning in warnings {
        output::warn(&warning.to_string());
    }
}

/// The usersfile where no PAM service names one: the default, or if it does not exist, one where
/// guides for OATH Toolkit's module put it.
pub(crate) fn unnamed_usersfile() -> Result<OsString, Error> {
    const OTHERS: [&str; 2] = ["/etc/liboath/users.oath", "/etc/security/users.oath"];
    let default = Options::default().usersfile;
    if Path::new(&default).exists() {
        return Ok(default);
    }
    let mut found = OTHERS.into_iter().filter(|path| Path::new(path).exists());
    match (found.next(), found.next()) {
        (None, _) => Ok(default),
        (Some(path), None) => Ok(path.into()),
        (Some(path), Some(other)) => Err(Error::usage(format!(
            "no PAM service names a usersfile, and both {path} and {other} are there; say which \
             with --usersfile FILE"
        ))),
    }
}

/// The services that use a usersfile, and the arguments that they give the module.
#[derive(Default)]
pub(crate) struct Service {
    /// The services; none if the PAM configuration names none.
    pub(crate) names: Vec<String>,
    pub(crate) options: Options,
}

/// `sshd, login: window=5 digits=6`
impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        if !self.names.is_empty() {
            write!(f, "{}: ", self.names.join(", "))?;
        }
        f.write_str(&arguments(&self.options))
    }
}

/// The arguments that decide whether a response is accepted.
fn deciding_arguments(options: &Options) -> impl PartialEq {
    let throttle = options
        .throttle
        .map(|seconds| (seconds, &options.throttle_folder));
    (
        options.window,
        options.code_length(),
        (options.ignore_pin, options.drift, options.always_ok),
        options.replay_grace,
        throttle,
        &options.journal_folder,
    )
}

/// The same as pam.d has them.
fn arguments(options: &Options) -> String {
    let mut words = vec![format!("window={}", options.window)];
    let mut add = |word: Option<String>| words.extend(word);
    add(options.digits.map(|digits| format!("digits={digits}")));
    for (is_set, name) in [
        (options.forward_pass, "forward_pass"),
        (options.ignore_pin, "ignore_userfile_password"),
        (options.drift, "drift"),
        (options.always_ok, "alwaysok"),
    ] {
        add(is_set.then(|| name.to_owned()));
    }
    let grace = options.replay_grace;
    add((grace > 0).then(|| format!("allow_replayed_otp_within={grace}")));
    add(options
        .throttle
        .map(|seconds| format!("throttle={seconds}")));
    let journal = options.journal_folder.as_ref();
    add(journal.map(|folder| format!("readonly_ok={}", folder.to_string_lossy())));
    words.join(" ")
}

/// Fields apart by tabs, as a token's are, for programs that take the second of every line.
const HEADER: &str = "\
#\tOne-time password tokens for pam_oath, a line each. Kept up by oathctl(8) and by every login.
# TYPE\tUSER\tPIN\tSECRET\tCOUNTER\tLAST-OTP\tLAST-TIME
";

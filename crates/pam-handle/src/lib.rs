//! What PAM lets a module do with a transaction, each call behind a small safe method; and what both
//! modules of this project do around a login: a panic that does not cross into C, the stack wiped
//! afterwards, the end of a line in the log.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};

use oath_core::plain_text::is_plain;
use pam_sys::pam_handle;
use zeroize::{Zeroize, Zeroizing, optimization_barrier};

/// Why PAM did not give what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call to libpam failed.
    #[error("cannot {action}: {}", reason(*code))]
    Call {
        /// What was being done.
        action: &'static str,
        /// What libpam returned.
        code: c_int,
    },
    /// PAM has no name for the user.
    #[error("PAM gives no user name")]
    NoUser,
    /// The conversation went well but gave no answer.
    #[error("no response to the prompt")]
    NoResponse,
}

/// What a return code of libpam says to an administrator.
fn reason(code: c_int) -> String {
    match code {
        pam_sys::PAM_CONV_ERR => "the prompt was cancelled".into(),
        pam_sys::PAM_CONV_AGAIN => "the application has no answer yet".into(),
        code => format!("PAM error {code}"),
    }
}

/// How much a line in the log matters, as syslog(3) counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Priority {
    Critical = libc::LOG_CRIT as isize,
    Error = libc::LOG_ERR as isize,
    Warning = libc::LOG_WARNING as isize,
    Notice = libc::LOG_NOTICE as isize,
    Info = libc::LOG_INFO as isize,
    Debug = libc::LOG_DEBUG as isize,
}

/// A PAM transaction, as the module sees it during one call.
pub struct Handle<'call> {
    raw: NonNull<pam_handle>,
    // Belongs to the call that lent it, and to that call's thread.
    call: PhantomData<(&'call (), *mut ())>,
}

impl Handle<'_> {
    /// Takes the handle that libpam passes to a service function; `None` if it passes none.
    ///
    /// # Safety
    /// `raw` is null, or the handle that libpam has passed to the service function that is being
    /// executed, in the thread that executes it, for as long as that runs.
    pub unsafe fn from_raw<'call>(raw: *mut pam_handle) -> Option<Handle<'call>> {
        Some(Handle {
            raw: NonNull::new(raw)?,
            call: PhantomData,
        })
    }

    /// The name of the user who logs in; PAM asks for it where the application did not give it.
    pub fn user(&self) -> Result<OsString, Error> {
        let mut user = ptr::null();
        // SAFETY: the handle is valid (see `from_raw`); pam_get_user(3) stores a pointer to a
        // string that libpam owns, and a null prompt asks for the default one.
        let code = unsafe { pam_sys::pam_get_user(self.raw.as_ptr(), &mut user, ptr::null()) };
        succeeded("ask for the user's name", code)?;
        if user.is_null() {
            return Err(Error::NoUser);
        }
        // SAFETY: a terminated string that libpam keeps until PAM_USER is set anew. It is copied
        // here, before the application gets a chance to do that in its conversation.
        let user = unsafe { CStr::from_ptr(user) };
        Ok(OsStr::from_bytes(user.to_bytes()).to_owned())
    }

    /// The host the user comes from, as the application names it.
    pub fn remote_host(&self) -> Option<OsString> {
        let host = self.item(pam_sys::PAM_RHOST).ok()??;
        Some(OsStr::from_bytes(host.to_bytes()).to_owned())
    }

    /// What a module before this one left as PAM_AUTHTOK.
    pub fn authtok(&self) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let token = self.item(pam_sys::PAM_AUTHTOK)?;
        Ok(token.map(|token| Zeroizing::new(token.to_bytes().to_vec())))
    }

    /// Leaves `token` as PAM_AUTHTOK for the modules after this one.
    pub fn set_authtok(&self, token: &[u8]) -> Result<(), Error> {
        // Room for the terminator from the start: growing would leave a copy behind.
        let mut text = Zeroizing::new(Vec::with_capacity(token.len() + 1));
        text.extend_from_slice(token);
        text.push(0);
        // SAFETY: the handle is valid (see `from_raw`); pam_set_item(3) copies the terminated
        // string, which lives until after the call.
        let code = unsafe {
            let text = text.as_ptr().cast::<c_void>();
            pam_sys::pam_set_item(self.raw.as_ptr(), pam_sys::PAM_AUTHTOK, text)
        };
        succeeded("forward the PIN", code)
    }

    /// A string item of the transaction.
    fn item(&self, item: c_int) -> Result<Option<&CStr>, Error> {
        let mut value: *const c_void = ptr::null();
        // SAFETY: the handle is valid (see `from_raw`); pam_get_item(3) stores a pointer to what
        // libpam owns.
        let code = unsafe { pam_sys::pam_get_item(self.raw.as_ptr(), item, &mut value) };
        succeeded("read an item", code)?;
        if value.is_null() {
            return Ok(None);
        }
        // SAFETY: the items asked for are terminated strings, which libpam keeps until the item
        // is set anew; callers copy before anything can do so.
        Ok(Some(unsafe { CStr::from_ptr(value.cast::<c_char>()) }))
    }

    /// Shows `text` through the application and returns the answer, which is echoed only if
    /// `echo` says so.
    pub fn prompt(&self, text: &OsStr, echo: bool) -> Result<Zeroizing<Vec<u8>>, Error> {
        let text = CString::new(text.as_bytes()).map_err(|_| Error::NoUser)?;
        let style = if echo {
            pam_sys::PAM_PROMPT_ECHO_ON
        } else {
            pam_sys::PAM_PROMPT_ECHO_OFF
        };
        let mut response: *mut c_char = ptr::null_mut();
        // SAFETY: the handle is valid (see `from_raw`); pam_prompt(3) formats one string, which
        // is terminated and lives until after the call, and stores a pointer that is ours to free.
        let code = unsafe {
            pam_sys::pam_prompt(
                self.raw.as_ptr(),
                style,
                &mut response,
                c"%s".as_ptr(),
                text.as_ptr(),
            )
        };
        let answer = NonNull::new(response).map(|response| {
            // SAFETY: pam_prompt(3) stores null or a terminated string from malloc(3), owned by
            // the caller: nobody else reads or frees it. It is wiped, then freed, once.
            unsafe {
                let length = CStr::from_ptr(response.as_ptr()).to_bytes().len();
                let bytes = std::slice::from_raw_parts_mut(response.as_ptr().cast::<u8>(), length);
                let copy = Zeroizing::new(bytes.to_vec());
                bytes.zeroize();
                libc::free(response.as_ptr().cast());
                copy
            }
        });
        succeeded("ask for the one-time password", code)?;
        answer.ok_or(Error::NoResponse)
    }

    /// ` user=… rhost=… line=…`, as far as known, and each a single word: what ends a line of the
    /// log must not be for anybody to choose by the name they log in with. A `?` stands for a user
    /// whom nobody knows.
    pub fn who(&self, user: Option<&OsStr>, line: Option<usize>) -> String {
        const LONGEST_USER: usize = 128;
        const LONGEST_HOST: usize = 256; // more than a name in the DNS can have
        let user = user.unwrap_or(OsStr::new("?"));
        let mut who = format!(" user={}", one_word(user, LONGEST_USER));
        if let Some(host) = self.remote_host() {
            who += &format!(" rhost={}", one_word(&host, LONGEST_HOST));
        }
        if let Some(line) = line {
            who += &format!(" line={line}");
        }
        who
    }

    /// Shows `text` through the application, which may not be able to: then nothing is shown.
    pub fn inform(&self, text: &str) {
        self.show(pam_sys::PAM_TEXT_INFO, text);
    }

    /// The same, as an error.
    pub fn show_error(&self, text: &str) {
        self.show(pam_sys::PAM_ERROR_MSG, text);
    }

    fn show(&self, style: c_int, text: &str) {
        let Ok(text) = CString::new(text) else {
            return;
        };
        // SAFETY: the handle is valid (see `from_raw`); pam_prompt(3) formats one string, which is
        // terminated and lives until after the call, and takes null where no response is wanted.
        unsafe {
            pam_sys::pam_prompt(
                self.raw.as_ptr(),
                style,
                ptr::null_mut(),
                c"%s".as_ptr(),
                text.as_ptr(),
            );
        }
    }

    /// Writes the outcome of a login to syslog: what happened, a semicolon, and to whom. The end
    /// of the line is always there whole, since programs look for it.
    pub fn log_outcome(&self, priority: Priority, what: &str, who: &str) {
        self.log_line(
            priority,
            &format!("{};{who}", shortened(what, LONGEST_MESSAGE)),
        );
    }

    /// Writes one line to syslog, facility authpriv.
    pub fn log(&self, priority: Priority, message: &str) {
        self.log_line(priority, shortened(message, LONGEST_MESSAGE).as_str());
    }

    /// What could make a line of its own, or show the rest in another order, becomes `?`.
    fn log_line(&self, priority: Priority, line: &str) {
        let line: String = line
            .chars()
            .map(|c| if is_plain(c) { c } else { '?' })
            .collect();
        let line = CString::new(line).unwrap_or_default();
        // SAFETY: the handle is valid (see `from_raw`); pam_syslog(3) formats one string, which
        // is terminated and lives until after the call.
        unsafe {
            pam_sys::pam_syslog(
                self.raw.as_ptr(),
                priority as c_int,
                c"%s".as_ptr(),
                line.as_ptr(),
            );
        }
    }
}

/// How long a message may be in the log, in bytes. With names at their longest a line then has
/// less than the 1,024 bytes that some daemons cut it off at (RFC 3164, section 4.1).
const LONGEST_MESSAGE: usize = 512;

/// The text, cut off where it is longer than so many bytes.
fn shortened(text: &str, longest: usize) -> String {
    const CUT: &str = "...";
    if text.len() <= longest {
        return text.to_owned();
    }
    let fits = |&(at, c): &(usize, char)| at + c.len_utf8() + CUT.len() <= longest;
    let text: String = text
        .char_indices()
        .take_while(fits)
        .map(|(_, c)| c)
        .collect();
    text + CUT
}

fn succeeded(action: &'static str, code: c_int) -> Result<(), Error> {
    if code == pam_sys::PAM_SUCCESS {
        Ok(())
    } else {
        Err(Error::Call { action, code })
    }
}

/// Does the work of a service function: `respond` to a call of libpam's, which passes the handle and
/// the arguments. A panic is logged and denied, and the stack wiped.
///
/// # Safety
/// As for [`Handle::from_raw`] and [`arguments`]: what libpam passes to the service function that is
/// being executed.
pub unsafe fn serve(
    pamh: *mut pam_handle,
    (argc, argv): (c_int, *const *const c_char),
    module: &str,
    respond: impl FnOnce(&Handle, &[&OsStr]) -> c_int,
) -> c_int {
    // The standard library would print a panic's message, which may hold anything, to the
    // standard error of somebody else's process.
    std::panic::set_hook(Box::new(|_| {}));
    // SAFETY: both by this function's own contract.
    let (handle, arguments) = unsafe { (Handle::from_raw(pamh), arguments(argc, argv)) };
    let Some(handle) = handle else {
        return pam_sys::PAM_SERVICE_ERR;
    };
    let code = guarded(&handle, module, || respond(&handle, &arguments));
    wipe_stack();
    code
}

/// Keeps a panic from crossing into C: it is logged and denied.
fn guarded(handle: &Handle, module: &str, call: impl FnOnce() -> c_int) -> c_int {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        handle.log(
            Priority::Critical,
            &format!("denied: internal error; please report it to the authors of {module}"),
        );
        // What was thrown may panic itself when it is dropped; a few bytes are the lesser evil.
        std::mem::forget(panic);
        pam_sys::PAM_AUTH_ERR
    })
}

/// Overwrites the stack that the login has used, where the compiler may have left copies of a
/// secret that no destructor knows.
#[inline(never)]
fn wipe_stack() {
    // Without optimisation every call takes more of it.
    const USED: usize = if cfg!(debug_assertions) { 96 } else { 32 } << 10;
    let used = [0u8; USED];
    // The zeros must be there, since somebody looks at them.
    optimization_barrier(&used);
}

/// A name as one word of at most so many bytes, and what is cut off shown by `...`.
fn one_word(name: &OsStr, longest: usize) -> String {
    let word: String = name
        .to_string_lossy()
        .chars()
        .map(|c| {
            if is_plain(c) && !c.is_whitespace() {
                c
            } else {
                '?'
            }
        })
        .collect();
    shortened(&word, longest)
}

/// The arguments after the module's name on its line of the PAM configuration.
///
/// # Safety
/// `argv` points to `argc` terminated strings, or to nothing if `argc` is not positive, and they
/// live as long as the result: what libpam passes to a service function.
pub unsafe fn arguments<'call>(argc: c_int, argv: *const *const c_char) -> Vec<&'call OsStr> {
    (0..usize::try_from(argc).unwrap_or(0))
        // SAFETY: by the contract above, `n` is within the array and each entry is a terminated
        // string that lives long enough.
        .map(|n| unsafe { CStr::from_ptr(*argv.add(n)) })
        .map(|argument| OsStr::from_bytes(argument.to_bytes()))
        .collect()
}

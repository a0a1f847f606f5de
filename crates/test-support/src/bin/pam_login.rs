//! The application that logs people in: sshd's side of PAM, without sshd.
//!
//! It reads a line of logins from standard input, runs them at the same moment, each in a thread
//! of its own, and answers there with a line of outcomes; standard input is a socket, so that
//! standard output and standard error belong to whatever the modules print. It is a process of its
//! own because a module that crashes takes the process along.
//!
//! Four things libpam and the modules ask the C library for, they get from here instead: the time,
//! which a login may hold still, the system's time zone, syslog, which a login hands back to the
//! test, and copies of a part of a file, which may be made to stop half-way. The linker exports a
//! program's own definition of what its libraries use, and the program comes first when the loader
//! looks for a name.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::process::Command;
use std::ptr;
use std::sync::{Barrier, OnceLock};

use libc::{clockid_t, time_t, timespec, timeval};
use test_support::protocol::{
    self, AUTHTOK_AFTERWARDS, Clock, LogLine, Login, Outcome, Prompt, Request, STACKED_AUTHTOK,
};

thread_local! {
    /// The clock that this thread's login sees.
    static CLOCK: Cell<Clock> = const { Cell::new(Clock::Real) };
    static LOG: RefCell<Vec<LogLine>> = const { RefCell::new(Vec::new()) };
}

/// The file in place of /etc/localtime.
static LOCALTIME: OnceLock<CString> = OnceLock::new();

fn main() {
    if let Some(zone) = std::env::var_os(protocol::LOCALTIME) {
        LOCALTIME
            .set(CString::new(zone.into_vec()).unwrap())
            .unwrap();
    }
    let test = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
    let mut answers = File::from(test);
    let mut lines = BufReader::new(answers.try_clone().unwrap()).lines();
    while let Some(request) = lines.next() {
        let request: Request = serde_json::from_str(&request.unwrap()).unwrap();
        if request.gated {
            answers.write_all(b"\n").unwrap();
            let Some(Ok(_)) = lines.next() else { return };
        }
        let outcomes = run(&request.logins);
        // SAFETY: a null stream means every open one. What a module left in stdio's buffer is
        // something it printed.
        unsafe { libc::fflush(ptr::null_mut()) };
        let mut answer = serde_json::to_vec(&outcomes).unwrap();
        answer.push(b'\n');
        answers.write_all(&answer).unwrap();
    }
}

fn run(logins: &[Login]) -> Vec<Outcome> {
    if let [alone] = logins {
        return vec![log_in(alone)];
    }
    let start = Barrier::new(logins.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = logins
            .iter()
            .map(|login| {
                scope.spawn(|| {
                    start.wait();
                    log_in(login)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

fn log_in(login: &Login) -> Outcome {
    CLOCK.set(login.clock);
    LOG.take();
    let mut conversation = Conversation {
        login,
        asked: 0,
        prompts: Vec::new(),
    };
    let (rc, setcred, authtok) = {
        let pam = Transaction::start(login, &mut conversation);
        pam.set_item(pam_sys::PAM_RHOST, login.rhost.as_deref());
        pam.set_item(pam_sys::PAM_TTY, login.tty.as_ref().map(String::as_bytes));
        if let Some(token) = &login.stacked {
            pam.put_env(STACKED_AUTHTOK, token);
        }
        let rc = pam.authenticate(login.flags);
        let setcred = (rc == pam_sys::PAM_SUCCESS).then(|| pam.setcred());
        (rc, setcred, pam.get_env(AUTHTOK_AFTERWARDS))
    };
    CLOCK.set(Clock::Real);
    Outcome {
        rc,
        setcred,
        prompts: conversation.prompts,
        authtok,
        log: LOG.take(),
    }
}

/// A PAM handle that is ended when dropped.
struct Transaction {
    handle: *mut pam_sys::pam_handle,
    last: Cell<c_int>,
}

impl Transaction {
    /// `conversation` must outlive the transaction.
    fn start(login: &Login, conversation: &mut Conversation) -> Transaction {
        let service = CString::new(login.service.as_str()).unwrap();
        let confdir = CString::new(login.confdir.as_str()).unwrap();
        let user = login
            .user
            .as_deref()
            .map(|user| CString::new(user).unwrap());
        let mut conv = pam_sys::pam_conv {
            conv: converse,
            appdata_ptr: ptr::from_mut(conversation).cast(),
        };
        let mut handle = ptr::null_mut();
        // SAFETY: all strings end in NUL and PAM copies them and conv; a null user is unknown yet.
        let rc = unsafe {
            pam_sys::pam_start_confdir(
                service.as_ptr(),
                user.as_ref().map_or(ptr::null(), |user| user.as_ptr()),
                &raw mut conv,
                confdir.as_ptr(),
                &raw mut handle,
            )
        };
        assert_eq!(rc, pam_sys::PAM_SUCCESS, "pam_start_confdir");
        Transaction {
            handle,
            last: Cell::new(rc),
        }
    }

    fn set_item(&self, item: c_int, value: Option<&[u8]>) {
        let Some(value) = value else { return };
        let value = CString::new(value).unwrap();
        // SAFETY: the handle is live and the value a string, which PAM copies.
        let rc = unsafe { pam_sys::pam_set_item(self.handle, item, value.as_ptr().cast()) };
        assert_eq!(rc, pam_sys::PAM_SUCCESS, "pam_set_item {item}");
    }

    fn put_env(&self, name: &str, value: &[u8]) {
        let entry = CString::new([name.as_bytes(), b"=", value].concat()).unwrap();
        // SAFETY: the handle is live and the entry a string, which PAM copies.
        let rc = unsafe { pam_sys::pam_putenv(self.handle, entry.as_ptr()) };
        assert_eq!(rc, pam_sys::PAM_SUCCESS, "pam_putenv {name}");
    }

    fn get_env(&self, name: &str) -> Option<Vec<u8>> {
        let name = CString::new(name).unwrap();
        // SAFETY: the handle is live; what PAM returns is a string of its own that stays until the
        // next change of its environment.
        unsafe {
            let value = pam_sys::pam_getenv(self.handle, name.as_ptr());
            (!value.is_null()).then(|| CStr::from_ptr(value).to_bytes().to_vec())
        }
    }

    fn authenticate(&self, flags: c_int) -> c_int {
        // SAFETY: the handle is live, and so is the conversation it points to.
        self.last
            .set(unsafe { pam_sys::pam_authenticate(self.handle, flags) });
        self.last.get()
    }

    fn setcred(&self) -> c_int {
        // SAFETY: as for authenticate.
        self.last
            .set(unsafe { pam_sys::pam_setcred(self.handle, pam_sys::PAM_ESTABLISH_CRED) });
        self.last.get()
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // SAFETY: the handle is live and not used after this.
        unsafe { pam_sys::pam_end(self.handle, self.last.get()) };
    }
}

struct Conversation<'a> {
    login: &'a Login,
    asked: usize,
    prompts: Vec<Prompt>,
}

impl Conversation<'_> {
    fn answer(&mut self) -> *mut c_char {
        let responses = &self.login.responses;
        let response = responses
            .get(self.asked)
            .or(responses.last())
            .and_then(|r| r.as_deref());
        self.asked += 1;
        let Some(response) = response else {
            return ptr::null_mut();
        };
        let response = CString::new(response).unwrap();
        // SAFETY: the response is a string; PAM frees the copy with free().
        unsafe { libc::strdup(response.as_ptr()) }
    }
}

unsafe extern "C" fn converse(
    count: c_int,
    messages: *const *const pam_sys::pam_message,
    responses: *mut *mut pam_sys::pam_response,
    conversation: *mut c_void,
) -> c_int {
    // SAFETY: this is the conversation that Transaction::start handed over, and nobody else uses
    // it while PAM runs.
    let conversation = unsafe { &mut *conversation.cast::<Conversation>() };
    let count = count as usize;
    // SAFETY: Linux-PAM passes an array of count pointers to messages, each with a string.
    let asked: Vec<Prompt> = (0..count)
        .map(|i| unsafe {
            let message = &**messages.add(i);
            let text = CStr::from_ptr(message.msg).to_string_lossy().into_owned();
            Prompt {
                style: message.msg_style,
                text,
            }
        })
        .collect();
    conversation.prompts.extend(asked.iter().cloned());
    if let Some(command) = &conversation.login.at_prompt {
        let done = Command::new("sh").args(["-ec", command]).status().unwrap();
        assert!(done.success(), "{command}");
    }
    if let Some(clock) = conversation.login.clock_at_prompt {
        CLOCK.set(clock);
    }
    if conversation.login.conversation != pam_sys::PAM_SUCCESS {
        return conversation.login.conversation;
    }
    // SAFETY: calloc returns count zeroed responses, which is a valid empty one each; PAM frees
    // the array and its strings with free().
    unsafe {
        let array: *mut pam_sys::pam_response =
            libc::calloc(count, size_of::<pam_sys::pam_response>()).cast();
        for (i, message) in asked.iter().enumerate() {
            if [pam_sys::PAM_PROMPT_ECHO_OFF, pam_sys::PAM_PROMPT_ECHO_ON].contains(&message.style)
            {
                (*array.add(i)).resp = conversation.answer();
            }
        }
        *responses = array;
    }
    pam_sys::PAM_SUCCESS
}

/// In place of the C library's clock_gettime. Only the wall clock is held: what measures how long
/// something takes goes on.
#[unsafe(no_mangle)]
extern "C" fn clock_gettime(clock: clockid_t, now: *mut timespec) -> c_int {
    match (CLOCK.get(), clock) {
        (Clock::Held(moment), libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE) => {
            #[allow(clippy::unnecessary_cast)] // narrower on some architectures
            let tv_sec = moment as time_t;
            // SAFETY: clock_gettime's caller passes room for a timespec.
            unsafe { *now = timespec { tv_sec, tv_nsec: 0 } };
            0
        }
        (Clock::Broken, libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE) => {
            // SAFETY: the C library's own place for this thread's error.
            unsafe { *libc::__errno_location() = libc::EPERM };
            -1
        }
        // SAFETY: the system call of the same name, with the arguments as they came.
        _ => unsafe { libc::syscall(libc::SYS_clock_gettime, clock, now) as c_int },
    }
}

/// A time of 64 bits on a machine of 32, as the C library has it beside the time of 32.
#[cfg(target_pointer_width = "32")]
#[repr(C)]
struct Timespec64 {
    tv_sec: i64,
    #[cfg(target_endian = "big")]
    padding: i32,
    tv_nsec: i32,
    #[cfg(target_endian = "little")]
    padding: i32,
}

/// In place of the C library's call of the same name, which the standard library makes.
#[cfg(target_pointer_width = "32")]
#[unsafe(no_mangle)]
extern "C" fn __clock_gettime64(clock: clockid_t, now: *mut Timespec64) -> c_int {
    if let (Clock::Held(moment), libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE) =
        (CLOCK.get(), clock)
    {
        let moment = Timespec64 {
            tv_sec: moment,
            tv_nsec: 0,
            padding: 0,
        };
        // SAFETY: the caller passes room for such a time.
        unsafe { *now = moment };
        return 0;
    }
    let mut narrow = timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let result = clock_gettime(clock, &raw mut narrow);
    let wide = Timespec64 {
        tv_sec: narrow.tv_sec.into(),
        tv_nsec: narrow.tv_nsec,
        padding: 0,
    };
    // SAFETY: the caller passes room for such a time.
    unsafe { *now = wide };
    result
}

/// In place of the C library's copy_file_range. Where SHORT_COPIES is set, it does what the system
/// call may do and seldom does: it copies a few bytes, then none (as at the end of a file), a few
/// bytes, then it is interrupted by a signal.
#[unsafe(no_mangle)]
unsafe extern "C" fn copy_file_range(
    from: c_int,
    from_position: *mut i64,
    to: c_int,
    to_position: *mut i64,
    length: usize,
    flags: c_uint,
) -> isize {
    thread_local! {
        static CALLS: Cell<u64> = const { Cell::new(0) };
    }
    const FEW: usize = 7;
    let mut length = length;
    if std::env::var_os("SHORT_COPIES").is_some() {
        match CALLS.replace(CALLS.get() + 1) % 4 {
            1 => return 0,
            3 => {
                // SAFETY: the C library's own place for this thread's error.
                unsafe { *libc::__errno_location() = libc::EINTR };
                return -1;
            }
            _ => length = length.min(FEW),
        }
    }
    let call = libc::SYS_copy_file_range;
    // SAFETY: the system call of the same name, with the arguments as they came but for the length.
    unsafe { libc::syscall(call, from, from_position, to, to_position, length, flags) as isize }
}

/// In place of the C library's time.
#[unsafe(no_mangle)]
extern "C" fn time(now: *mut time_t) -> time_t {
    let mut seconds = timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    clock_gettime(libc::CLOCK_REALTIME, &raw mut seconds);
    if !now.is_null() {
        // SAFETY: time's caller passes null or room for a time_t.
        unsafe { *now = seconds.tv_sec };
    }
    seconds.tv_sec
}

/// In place of the C library's gettimeofday.
#[unsafe(no_mangle)]
extern "C" fn gettimeofday(now: *mut timeval, _timezone: *mut c_void) -> c_int {
    let mut seconds = timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let rc = clock_gettime(libc::CLOCK_REALTIME, &raw mut seconds);
    // SAFETY: gettimeofday's caller passes room for a timeval.
    unsafe {
        *now = timeval {
            tv_sec: seconds.tv_sec,
            tv_usec: seconds.tv_nsec / 1000,
        }
    };
    rc
}

/// In place of the C library's open64: what stands as /etc/localtime is for the test to say. All
/// else is opened as it is named.
#[unsafe(no_mangle)]
extern "C" fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    // SAFETY: a path is a string.
    let is_zone = unsafe { CStr::from_ptr(path) } == c"/etc/localtime";
    let zone = LOCALTIME.get().filter(|_| is_zone);
    let path = zone.map_or(path, |zone| zone.as_ptr());
    // SAFETY: the system call of the same kind, with the arguments as they came, but for the path,
    // which is a string as well.
    unsafe {
        let flags = flags | libc::O_LARGEFILE;
        libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path, flags, mode) as c_int
    }
}

/// In place of the C library's syslog as libpam calls it where it was built with fortified
/// functions (Debian, Fedora).
#[unsafe(no_mangle)]
extern "C" fn __syslog_chk(
    priority: c_int,
    _flag: c_int,
    format: *const c_char,
    prefix: *const c_char,
    message: *const c_char,
) {
    syslog(priority, format, prefix, message);
}

/// In place of the C library's syslog. libpam has already put its message together and calls with
/// "%s %s". A call with another format, from a module that goes around libpam, is noted with the
/// format alone.
#[unsafe(no_mangle)]
extern "C" fn syslog(
    priority: c_int,
    format: *const c_char,
    prefix: *const c_char,
    message: *const c_char,
) {
    // SAFETY: a format is a string.
    let format = unsafe { CStr::from_ptr(format) };
    let text = if format == c"%s %s" {
        // SAFETY: two strings follow this format. On the platforms of Linux-PAM's C library the
        // first arguments of a variadic call are passed like those of any other.
        let [prefix, message] = [prefix, message].map(|s| unsafe { CStr::from_ptr(s) });
        format!("{} {}", prefix.to_string_lossy(), message.to_string_lossy())
    } else {
        format.to_string_lossy().into_owned()
    };
    note(priority, text);
}

/// In place of the C library's vsyslog where it is fortified: Google's module goes around libpam. It
/// names the facility in openlog alone.
#[unsafe(no_mangle)]
extern "C" fn __vsyslog_chk(
    priority: c_int,
    _flag: c_int,
    format: *const c_char,
    arguments: *mut c_void,
) {
    unsafe extern "C" {
        fn vsnprintf(
            text: *mut c_char,
            size: usize,
            format: *const c_char,
            arguments: *mut c_void,
        ) -> c_int;
    }
    let mut text = [0; 4096];
    // SAFETY: it writes a string that is no longer than the buffer. A va_list is handed over as a
    // pointer, by itself or by the calling convention, on every architecture that the tests run on.
    unsafe { vsnprintf(text.as_mut_ptr(), text.len(), format, arguments) };
    // SAFETY: a string, as was just seen to.
    let text = unsafe { CStr::from_ptr(text.as_ptr()) };
    note(
        libc::LOG_AUTHPRIV | priority,
        text.to_string_lossy().into_owned(),
    );
}

fn note(priority: c_int, text: String) {
    LOG.with_borrow_mut(|log| log.push(LogLine { priority, text }));
}

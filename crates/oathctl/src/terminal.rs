//! Questions on the terminal, secrets without echo, and signal handling.
//!
//! Questions go to the controlling terminal itself, so that standard input and output are free
//! for data. While one is open, a signal such as Ctrl-C ends the question instead of the process:
//! echo is restored and the error says that nothing was changed. While the usersfile is being
//! written, signals are held. At all other times they have their default action.

use std::ffi::c_int;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use zeroize::Zeroizing;

use crate::error::Error;

const SIGNALS: [c_int; 4] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT];

/// The longest line of a terminal in canonical mode (N_TTY_BUF_SIZE).
const LONGEST_LINE: usize = 4096;

struct Signals {
    /// Whether a signal ends the process at once.
    terminates: Arc<AtomicBool>,
    /// For each signal, a pipe that becomes readable when it comes.
    pipes: [(c_int, UnixStream); 4],
}

static SIGNAL_STATE: OnceLock<Signals> = OnceLock::new();
static HOLD_COUNT: AtomicUsize = AtomicUsize::new(0);

/// To be called once, before anything else.
pub(crate) fn catch_signals() -> Result<(), Error> {
    let terminates = Arc::new(AtomicBool::new(true));
    let catch = |signal| -> io::Result<(c_int, UnixStream)> {
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&terminates))?;
        let (read_end, write_end) = UnixStream::pair()?;
        read_end.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(signal, write_end)?;
        Ok((signal, read_end))
    };
    let [first, second, third, fourth] = SIGNALS.map(catch);
    let pipes = (|| Ok([first?, second?, third?, fourth?]))()
        .map_err(Error::io::<io::Error>("catch signals"))?;
    // Only a second call fails here, and the first one's handlers stay.
    let _ = SIGNAL_STATE.set(Signals { terminates, pipes });
    Ok(())
}

/// Holds signals until the returned value, and every other one, is dropped.
#[must_use]
pub(crate) fn hold_signals() -> HeldSignals {
    HOLD_COUNT.fetch_add(1, Ordering::SeqCst);
    set_terminates(false);
    HeldSignals
}

/// Discards the SIGINT and SIGQUIT that came while signals were held and that were meant for another
/// program on this terminal. SIGTERM and SIGHUP are an error.
pub(crate) fn forget_interrupts() -> Result<(), Error> {
    for (signal, pipe) in SIGNAL_STATE
        .get()
        .into_iter()
        .flat_map(|caught| &caught.pipes)
    {
        let mut come = false;
        while (&mut &*pipe).read(&mut [0]).is_ok_and(|read| read > 0) {
            come = true;
        }
        if come && matches!(*signal, SIGTERM | SIGHUP) {
            return Err(Error::Interrupted(*signal));
        }
    }
    Ok(())
}

/// Signals are held while this lives.
pub(crate) struct HeldSignals;

impl Drop for HeldSignals {
    fn drop(&mut self) {
        if HOLD_COUNT.fetch_sub(1, Ordering::SeqCst) == 1 {
            set_terminates(true);
        }
    }
}

fn set_terminates(terminates: bool) {
    if let Some(signals) = SIGNAL_STATE.get() {
        signals.terminates.store(terminates, Ordering::SeqCst);
    }
}

/// The controlling terminal.
pub(crate) struct Terminal(File);

/// How much a terminal shows at a time, in characters.
#[derive(Clone, Copy)]
pub(crate) struct Screen {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

impl Screen {
    /// That of standard output, if it is a terminal that knows.
    pub(crate) fn of_stdout() -> Option<Screen> {
        let size = tcgetwinsize(io::stdout()).ok()?;
        (size.ws_col > 0 && size.ws_row > 0).then_some(Screen {
            columns: size.ws_col.into(),
            rows: size.ws_row.into(),
        })
    }
}

impl Terminal {
    /// Opens it. Where there is none, `instead` says which options make it unnecessary.
    pub(crate) fn open(instead: &str) -> Result<Terminal, Error> {
        File::options()
            .read(true)
            .write(true)
            .open("/dev/tty")
            .map(Terminal)
            .map_err(|_| Error::usage(format!("there is no terminal to ask on; {instead}")))
    }

    /// Asks for a line and shows it as it is typed.
    pub(crate) fn ask(&self, question: &str) -> Result<Zeroizing<String>, Error> {
        self.ask_with_modes(question, |_| {})
    }

    /// Asks for a code alone, which some apps show with a space in the middle.
    pub(crate) fn ask_code(&self, question: &str) -> Result<Zeroizing<String>, Error> {
        self.ask(question)
            .map(|code| Zeroizing::new(code.replace(' ', "")))
    }

    /// Asks for a line that is not shown.
    pub(crate) fn ask_secret(&self, question: &str) -> Result<Zeroizing<String>, Error> {
        self.ask_with_modes(question, |modes| {
            modes.local_modes.remove(LocalModes::ECHO);
            modes.local_modes.insert(LocalModes::ECHONL);
        })
    }

    /// Asks a question that is answered with yes or no; anything but `y` or `yes` is no.
    pub(crate) fn confirm(&self, question: &str) -> Result<bool, Error> {
        let answer = self.ask(&format!("{question} [y/N] "))?;
        Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    fn ask_with_modes(
        &self,
        question: &str,
        change: impl FnOnce(&mut Termios),
    ) -> Result<Zeroizing<String>, Error> {
        let failed = |cause: io::Error| Error::io("ask on the terminal")(cause);
        let _hold = hold_signals();
        let former = tcgetattr(&self.0).map_err(|cause| failed(cause.into()))?;
        let mut modes = former.clone();
        change(&mut modes);
        // Flush: what was typed ahead was no answer to this question.
        tcsetattr(&self.0, OptionalActions::Flush, &modes).map_err(|cause| failed(cause.into()))?;
        let _restore = Restore(&self.0, former);
        (&self.0).write_all(question.as_bytes()).map_err(failed)?;
        let answer = self.read_line();
        if answer.is_err() {
            // The line of the question ends here.
            let _ = (&self.0).write_all(b"\n");
        }
        answer
    }

    fn read_line(&self) -> Result<Zeroizing<String>, Error> {
        self.wait()?;
        let mut line = Zeroizing::new(vec![0; LONGEST_LINE]);
        let length = (&self.0)
            .read(&mut line)
            .map_err(Error::io("read from the terminal"))?;
        if length == 0 {
            return Err(Error::failed("no answer; nothing was changed"));
        }
        std::str::from_utf8(&line[..length])
            .map(|line| Zeroizing::new(line.trim().to_owned()))
            .map_err(|_| Error::failed("the answer is not text in UTF-8"))
    }

    /// Waits until a line is there, or a signal.
    fn wait(&self) -> Result<(), Error> {
        let signals: &[(c_int, UnixStream)] =
            SIGNAL_STATE.get().map_or(&[], |caught| &caught.pipes);
        let mut events = vec![PollFd::new(&self.0, PollFlags::IN)];
        let pipes = signals
            .iter()
            .map(|(_, pipe)| PollFd::new(pipe, PollFlags::IN));
        events.extend(pipes);
        loop {
            match poll(&mut events, None) {
                Err(rustix::io::Errno::INTR) => {}
                result => {
                    result.map_err(Error::io("wait for the terminal"))?;
                    break;
                }
            }
        }
        for ((signal, _), event) in signals.iter().zip(&events[1..]) {
            if !event.revents().is_empty() {
                return Err(Error::Interrupted(*signal));
            }
        }
        Ok(())
    }
}

/// Restores the terminal's modes on drop.
struct Restore<'a>(&'a File, Termios);

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.0, OptionalActions::Flush, &self.1);
    }
}

//! The text of a new secret file.

use zeroize::Zeroizing;

use super::format::Name;

/// What stands in a new secret file.
pub struct NewFile<'a> {
    /// The secret, in Base32.
    pub secret: &'a str,
    /// The options.
    pub settings: Settings,
    /// The scratch codes.
    pub scratch_codes: &'a [Zeroizing<String>],
}

/// The options of a new secret file.
#[derive(Clone, Copy)]
pub struct Settings {
    /// What the codes count.
    pub moving_factor: MovingFactor,
    /// RATE_LIMIT, if there is to be one.
    pub rate_limit: Option<Limit>,
    /// WINDOW_SIZE, if it is not the default.
    pub window_size: Option<u32>,
}

/// What the codes of a new file count.
#[derive(Clone, Copy)]
pub enum MovingFactor {
    /// Events, from 1 on.
    Event,
    /// Time steps.
    Time {
        /// STEP_SIZE in seconds, if it is not the default.
        step_size: Option<u32>,
        /// Whether a code is good once only.
        disallow_reuse: bool,
    },
}

/// How many tries there may be in how many seconds.
#[derive(Clone, Copy)]
pub struct Limit {
    /// Tries.
    pub tries: u32,
    /// Seconds.
    pub seconds: u32,
}

impl NewFile<'_> {
    /// The text, in the order in which Google's tool writes it.
    pub fn text(&self) -> Zeroizing<Vec<u8>> {
        const LONGEST_OPTION: usize = 64;
        let letters = self.scratch_codes.iter().map(|code| code.len() + 1);
        let length = self.secret.len() + letters.sum::<usize>() + 6 * LONGEST_OPTION;
        // Room for all of it at once: a string that grows leaves copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(length));
        let settings = self.settings;
        let mut line = |line: &str| {
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
        };
        line(self.secret);
        if let Some(Limit { tries, seconds }) = settings.rate_limit {
            line(&format!("\" {} {tries} {seconds}", Name::RateLimit));
        }
        if let Some(size) = settings.window_size {
            line(&format!("\" {} {size}", Name::WindowSize));
        }
        match settings.moving_factor {
            MovingFactor::Event => line(&format!("\" {} 1", Name::HotpCounter)),
            MovingFactor::Time {
                step_size,
                disallow_reuse,
            } => {
                if let Some(size) = step_size {
                    line(&format!("\" {} {size}", Name::StepSize));
                }
                if disallow_reuse {
                    line(&format!("\" {}", Name::DisallowReuse));
                }
                line(&format!("\" {}", Name::TotpAuth));
            }
        }
        for code in self.scratch_codes {
            line(code);
        }
        text
    }
}

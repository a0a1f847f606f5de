//! One-time passwords as a person's token shows them, made by totp-rs, so that the module is not
//! judged by its own arithmetic.

use totp_rs::{Algorithm, Secret, TOTP};

/// What makes a token's codes of the secret that it shares with the usersfile.
#[derive(Clone, Debug)]
pub struct Generator {
    secret: Vec<u8>,
    digits: usize,
    hash: Algorithm,
}

impl Generator {
    /// For a token of six digits and SHA-1 with this secret, in hex as in the usersfile.
    pub fn new(hex: &str) -> Generator {
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("a secret in hex");
        let secret = (0..hex.len()).step_by(2).map(byte).collect();
        Generator {
            secret,
            digits: 6,
            hash: Algorithm::SHA1,
        }
    }

    /// The same with the secret in base32, as apps show it.
    pub fn of_base32(text: &str) -> Generator {
        let secret = Secret::Encoded(text.into())
            .to_bytes()
            .expect("a secret in base32");
        Generator {
            secret,
            ..Generator::new("")
        }
    }

    pub fn digits(self, digits: usize) -> Generator {
        Generator { digits, ..self }
    }

    pub fn sha256(self) -> Generator {
        Generator {
            hash: Algorithm::SHA256,
            ..self
        }
    }

    pub fn sha512(self) -> Generator {
        Generator {
            hash: Algorithm::SHA512,
            ..self
        }
    }

    /// The code of this moving factor: an event counter or a time step.
    pub fn code(&self, moving_factor: u64) -> String {
        // With steps of one second the time is the moving factor.
        TOTP::new_unchecked(self.hash, self.digits, 0, 1, self.secret.clone())
            .generate(moving_factor)
    }

    /// The code that is shown at `moment`, seconds since 1970, by a clock that ticks every `step`
    /// seconds, `offset` ticks later (earlier if negative).
    pub fn code_at(&self, moment: i64, step: u64, offset: i64) -> String {
        let now = moment as u64 / step;
        self.code(
            now.checked_add_signed(offset)
                .expect("a time step since 1970"),
        )
    }
}

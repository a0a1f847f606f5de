//! The two kinds of file that a login is decided by, each with the module that reads it: for what
//! must hold of both.

use crate::codes::Generator;
use crate::{Module, NOON, Scene};

/// The secret of alice's token, in hex and in Base32.
const SECRET: &str = "3132333435363738393031323334353637383930";
const SECRET_BASE32: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// How many scratch codes there are.
pub const SCRATCH_CODES: u64 = 50;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Of `pam_oath.so`: the lines of many users.
    Usersfile,
    /// Of the module in place of Google's: one user's.
    SecretFile,
}

impl Kind {
    pub const ALL: [Kind; 2] = [Kind::Usersfile, Kind::SecretFile];

    pub fn module(self) -> Module {
        match self {
            Kind::Usersfile => Module::This,
            Kind::SecretFile => Module::Google,
        }
    }

    /// Makes a scene one of this module's, with a window in which fifty codes are good.
    pub fn in_scene(self, scene: Scene) -> Scene {
        let scene = scene.module(self.module());
        match self {
            Kind::Usersfile => scene.args("window=60"),
            Kind::SecretFile => scene,
        }
    }

    /// What else the line needs for a file that belongs to somebody else and that an ACL opens to
    /// others, see [`give_away`](crate::rights::give_away).
    pub fn args_if_given_away(self) -> &'static str {
        match self {
            Kind::Usersfile => "window=60",
            Kind::SecretFile => "no_strict_owner allowed_perm=0640",
        }
    }

    /// Alice's token that counts events.
    pub fn token(self) -> Token {
        Token {
            kind: self,
            factor: Factor::Event,
        }
    }
}

/// What makes the next code another one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Factor {
    Event,
    Time,
    /// A list of codes.
    List,
}

/// Alice's token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Token {
    pub kind: Kind,
    pub factor: Factor,
}

impl Token {
    pub const USERSFILE_HOTP: Token = Token::new(Kind::Usersfile, Factor::Event);
    pub const USERSFILE_TOTP: Token = Token::new(Kind::Usersfile, Factor::Time);
    pub const SECRET_FILE_HOTP: Token = Token::new(Kind::SecretFile, Factor::Event);
    pub const SECRET_FILE_TOTP: Token = Token::new(Kind::SecretFile, Factor::Time);
    pub const SCRATCH_CODES: Token = Token::new(Kind::SecretFile, Factor::List);

    const fn new(kind: Kind, factor: Factor) -> Token {
        Token { kind, factor }
    }

    /// The moving factor of the first code.
    fn first(self) -> u64 {
        match (self.kind, self.factor) {
            (Kind::Usersfile, Factor::Event) => 0,
            (Kind::SecretFile, Factor::Event) => 1,
            (_, Factor::Time) => NOON as u64 / 30,
            (_, Factor::List) => 10_000_001,
        }
    }

    /// The good code that is the `n`th to be used, from 0; less than [`SCRATCH_CODES`].
    pub fn code(self, n: u64) -> String {
        match self.factor {
            Factor::List => (self.first() + n).to_string(),
            _ => Generator::new(SECRET).code(self.first() + n),
        }
    }

    /// The file before the first login, with more than alice's token in it.
    pub fn text(self) -> String {
        self.recorded([])
    }

    /// The file once these codes were used at noon, in this order.
    pub fn recorded(self, used: impl IntoIterator<Item = u64>) -> String {
        let used: Vec<u64> = used.into_iter().collect();
        let last = used.last().copied();
        let step = |n: &u64| format!(" {}", self.first() + n);
        match (self.kind, self.factor) {
            (Kind::Usersfile, factor) => {
                let kind = match factor {
                    Factor::Time => "HOTP/T30",
                    _ => "HOTP",
                };
                let recorded = last.map_or(String::new(), |n| {
                    let (factor, code) = (self.first() + n, self.code(n));
                    format!("\t{factor}\t{code}\t2026-01-15T12:00:00L")
                });
                format!(
                    "# all users\n\nHOTP\tbob\t-\t00\n{kind}\talice\t-\t{SECRET}{recorded}\n\
                     HOTP\tcarol\t-\t01"
                )
            }
            (Kind::SecretFile, Factor::Event) => {
                let counter = self.first() + last.map_or(0, |n| n + 1);
                format!(
                    "{SECRET_BASE32}\n\" WINDOW_SIZE 100\n\" HOTP_COUNTER {counter}\n# hers\n\nnot a code"
                )
            }
            (Kind::SecretFile, Factor::Time) => {
                let steps: String = used.iter().map(step).collect();
                format!(
                    "{SECRET_BASE32}\n\" WINDOW_SIZE 100\n\" DISALLOW_REUSE{steps}\n\" TOTP_AUTH\n\
                     # hers\n\nnot a code"
                )
            }
            (Kind::SecretFile, Factor::List) => {
                let left = (0..SCRATCH_CODES).filter(|n| !used.contains(n));
                let left: String = left.map(|n| self.code(n) + "\n").collect();
                format!("{SECRET_BASE32}\n\" TOTP_AUTH\n{left}# hers\n\nnot a code")
            }
        }
    }

    /// What the log says of a code that was used.
    pub fn refusal(self) -> &'static str {
        match (self.kind, self.factor) {
            (Kind::Usersfile, _) | (_, Factor::Time) => "used before",
            // What lies behind the counter, and a code that is on the list no more, are codes of
            // nobody's.
            (_, Factor::Event) => "wrong one-time password",
            (_, Factor::List) => "does not end in 6 digits",
        }
    }

    /// A scene with the file, at noon.
    pub fn scene(self) -> Scene {
        self.in_scene(Scene::new())
    }

    /// The same in another scene.
    pub fn in_scene(self, scene: Scene) -> Scene {
        self.kind.in_scene(scene).usersfile(self.text())
    }
}

//! What a login answers: the measured cases of OATH Toolkit's module, and each argument.

mod application;
mod arguments;
mod backup_codes;
mod bytes;
mod cases;
mod clock;
mod differences;
mod drift;
mod journal;
mod links;
mod property;
mod spelling;
mod throttle;
mod tokens;
mod used_up;
mod while_asked;

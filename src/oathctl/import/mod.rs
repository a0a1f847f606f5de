//! `oathctl import`: tokens that other programs keep, carried over into the usersfile.

mod aegis;
mod google_authenticator;
mod otpauth;
mod pskc;
mod token;

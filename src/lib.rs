//! pam_oath: one-time passwords (HOTP, TOTP) for PAM.

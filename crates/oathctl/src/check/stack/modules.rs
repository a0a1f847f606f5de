//! What other modules do in an auth stack.
//!
//! A module that is not listed here may be anything: a first factor, a second one, a condition. Both
//! its success and its failure are followed.

use super::{Module, ReturnCode};

/// What a module does in a login.
#[derive(Clone, Debug)]
pub enum Role {
    /// This project's module.
    Code {
        /// What it returns for a user without a token.
        without_token: ReturnCode,
        /// Two lines with one usersfile take a code of their own each.
        usersfile: Vec<u8>,
        /// `use_first_pass`: it fails where no module before it asked for anything.
        needs_authtok: bool,
    },
    /// Checks the password.
    Password,
    /// Checks something else that the user has or is.
    OtherFactor,
    /// Checks the account or where the login comes from, and nothing that the user proves. It returns
    /// one of these, and the same wherever it is called with the same arguments.
    Condition(&'static [ReturnCode]),
    /// Returns one of these in every login.
    Returns(&'static [ReturnCode]),
    /// Not listed here.
    Unknown,
}

use ReturnCode as R;

/// The role of another module than pam_oath.
pub fn role(module: &Module) -> Role {
    let name = std::str::from_utf8(module.name()).unwrap_or_default();
    let argument = |wanted: &str| {
        let mut arguments = module.arguments.iter();
        arguments.any(|argument| argument == wanted.as_bytes())
    };
    match name.strip_suffix(".so").unwrap_or(name) {
        "pam_unix" | "pam_unix2" | "pam_sss" | "pam_ldap" | "pam_krb5" | "pam_winbind"
        | "pam_systemd_home" | "pam_userdb" | "pam_pwdb" | "pam_tcb" | "pam_mysql"
        | "pam_pgsql" | "pam_radius_auth" | "pam_tacplus" | "pam_himmelblau" | "pam_aad"
        | "pam_kanidm" | "pam_lsass" | "pam_vas3" | "pam_centrifydc" => Role::Password,
        "pam_u2f"
        | "pam_google_authenticator"
        | "pam_yubico"
        | "pam_duo"
        | "pam_fprintd"
        | "pam_pkcs11"
        | "pam_p11"
        | "pam_ssh_agent_auth"
        | "pam_sss_gss"
        | "pam_howdy"
        | "pam_usb"
        | "pam_ssh"
        | "pam_privacyidea" => Role::OtherFactor,
        "pam_deny" => Role::Returns(&[R::AUTH_ERR]),
        "pam_permit" | "pam_echo" => Role::Returns(&[R::SUCCESS]),
        "pam_env" | "pam_faildelay" | "pam_group" | "pam_mail" | "pam_warn" | "pam_issue"
        | "pam_keyinit" => Role::Returns(&[R::IGNORE]),
        // While there is no /etc/nologin.
        "pam_nologin" if argument("successok") => Role::Returns(&[R::SUCCESS]),
        "pam_nologin" => Role::Returns(&[R::IGNORE]),
        "pam_faillock" if argument("authfail") => Role::Returns(&[R::IGNORE, R::AUTH_ERR]),
        "pam_faillock" | "pam_tally" | "pam_tally2" => Role::Returns(&[R::SUCCESS]),
        "pam_lastlog" | "pam_shells" | "pam_securetty" => Role::Returns(&[R::SUCCESS]),
        // Keyrings and the like, which use the password and do not check it.
        "pam_cap"
        | "pam_gnome_keyring"
        | "pam_kwallet"
        | "pam_kwallet5"
        | "pam_ecryptfs"
        | "pam_mount"
        | "pam_systemd_loadkey"
        | "pam_fscrypt"
        | "pam_selinux"
        | "pam_afs_session"
        | "pam_reauthorize" => Role::Returns(&[R::SUCCESS, R::IGNORE]),
        "pam_succeed_if" | "pam_rootok" | "pam_listfile" | "pam_timestamp" | "pam_rhosts"
        | "pam_usertype" => Role::Condition(&[R::SUCCESS, R::AUTH_ERR]),
        // A script that looks at where the login comes from, or sends a message; one that is given the
        // password may check it.
        "pam_exec" if !argument("expose_authtok") => Role::Condition(&[R::SUCCESS, R::SYSTEM_ERR]),
        "pam_access" | "pam_localuser" | "pam_geoip" => {
            Role::Condition(&[R::SUCCESS, R::PERM_DENIED])
        }
        // Ignores all but those few who may come in without a password where SELinux confines them.
        "pam_sepermit" | "pam_selinux_permit" => {
            Role::Condition(&[R::IGNORE, R::SUCCESS, R::AUTH_ERR])
        }
        "pam_wheel" => Role::Condition(&[R::SUCCESS, R::IGNORE, R::PERM_DENIED]),
        "pam_limits" | "pam_loginuid" | "pam_motd" | "pam_mkhomedir" | "pam_namespace"
        | "pam_pwhistory" | "pam_systemd" | "pam_time" | "pam_tty_audit" | "pam_umask"
        | "pam_xauth" | "pam_pwquality" | "pam_cracklib" | "pam_passwdqc" => {
            // They have no pam_sm_authenticate.
            Role::Returns(&[R::MODULE_UNKNOWN])
        }
        _ => Role::Unknown,
    }
}

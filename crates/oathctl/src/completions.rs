//! `oathctl completions`

use std::process::ExitCode;

use clap::{Args, Command, CommandFactory, ValueHint};
use clap_complete::Shell;

use crate::Cli;
use crate::error::Error;
use crate::output;

/// Print the completions for a shell
#[derive(Args)]
#[command(after_help = "Example:
  oathctl completions bash > /etc/bash_completion.d/oathctl")]
pub(crate) struct Completions {
    shell: Shell,
}

/// clap's script for bash completes no user names, as those for other shells do.
const USERS_FOR_BASH: &str = r#"
_oathctl_with_users() {
    _oathctl "$@"
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    case $before in --user | add | list | show | verify | resync | backup-codes | edit | remove | \
        disable | enable | throttle | check | export)
        [[ $word == -* ]] || COMPREPLY+=($(compgen -u -- "$word"))
        ;;
    esac
}
complete -F _oathctl_with_users -o bashdefault -o default oathctl
"#;

impl Completions {
    pub(crate) fn run(self) -> Result<ExitCode, Error> {
        let mut text = Vec::new();
        let mut command = visible(&Cli::command());
        clap_complete::generate(self.shell, &mut command, "oathctl", &mut text);
        output::print(&String::from_utf8_lossy(&text))?;
        if self.shell == Shell::Bash {
            output::print(USERS_FOR_BASH)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The command without its hidden options, which clap completes like any other, and with names of
/// users where it takes one.
fn visible(command: &Command) -> Command {
    let mut visible = Command::new(command.get_name().to_owned());
    if let Some(about) = command.get_about() {
        visible = visible.about(about.clone());
    }
    if let Some(version) = command.get_version() {
        visible = visible.version(version.to_owned());
    }
    let arguments = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set());
    visible
        .args(arguments.map(|argument| match argument.get_id().as_str() {
            "user" | "users" => argument.clone().value_hint(ValueHint::Username),
            _ => argument.clone(),
        }))
        .subcommands(command.get_subcommands().map(self::visible))
}

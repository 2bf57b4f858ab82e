// SPDX-License-Identifier: MIT
//! `hb login`, `hb logout`
//!
//! The daemon checks the credentials against the registry before anything is kept.

use std::io::{self, IsTerminal, Read};

use clap::Args;
use hyperbox_client::credentials::{Credentials, DOCKER_HUB_KEY};
use hyperbox_client::model::AuthRequest;

use super::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::question;

#[derive(Args)]
pub(crate) struct LoginArgs {
    /// Password or Personal Access Token (PAT)
    #[arg(short, long, value_name = "PASSWORD")]
    password: Option<String>,
    /// Take the Password or Personal Access Token (PAT) from stdin
    #[arg(long)]
    password_stdin: bool,
    /// Username
    #[arg(short, long, value_name = "NAME")]
    username: Option<String>,
    #[arg(hide = true)]
    server: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    #[arg(hide = true)]
    server: Option<String>,
}

pub(crate) const LOGIN: Spec = spec!(
    LoginArgs,
    login,
    ["login"],
    "Authenticate to a registry",
    "[OPTIONS] [SERVER]"
);
pub(crate) const LOGOUT: Spec = spec!(LogoutArgs, logout, ["logout"], "Log out from a registry", "[SERVER]");

/// The key of a server in the file of credentials.
fn key(server: Option<&str>) -> String {
    match server {
        None | Some("docker.io" | "index.docker.io" | DOCKER_HUB_KEY) => DOCKER_HUB_KEY.to_owned(),
        Some(server) => {
            let bare = server
                .strip_prefix("https://")
                .or_else(|| server.strip_prefix("http://"))
                .unwrap_or(server);
            bare.split('/').next().unwrap_or_default().to_owned()
        }
    }
}

fn login(context: &Context, arguments: LoginArgs) -> Outcome {
    if arguments.password.is_some() && arguments.password_stdin {
        return Err(CliError::new("--password and --password-stdin are mutually exclusive"));
    }
    if arguments.password_stdin && arguments.username.is_none() {
        return Err(CliError::new("Must provide --username with --password-stdin"));
    }
    if arguments.password.is_some() {
        context.note("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
    }
    let key = key(arguments.server.as_deref());
    let mut store = context.credentials()?;
    let known = store.lookup_key(&key)?;
    let typed = arguments.username.is_some() || arguments.password.is_some();
    let mut credentials = match known {
        Some(known) if !typed && !known.secret.is_empty() => {
            context.print("Authenticating with existing credentials...")?;
            known
        }
        known => ask(arguments, known)?,
    };
    let request = AuthRequest {
        username: credentials.username.clone(),
        password: credentials.secret.clone(),
        serveraddress: key.clone(),
    };
    let status = context.client()?.check_credentials(&request)?;
    credentials.identity_token = status.identity_token;
    if !store.uses_helper(&key) {
        context.note(&format!(
            "\nWARNING! Your credentials are stored unencrypted in '{}'.",
            store.path().display()
        ));
        context.note("hint: configure a credential helper with \"credsStore\" in that file\n");
    }
    store.save(&key, &credentials)?;
    context.print(if status.status.is_empty() {
        "Login Succeeded"
    } else {
        &status.status
    })?;
    Ok(0)
}

fn ask(arguments: LoginArgs, known: Option<Credentials>) -> Result<Credentials, CliError> {
    let interactive = || {
        if io::stdin().is_terminal() {
            Ok(())
        } else {
            Err(
                CliError::new("Cannot perform an interactive login from a non TTY device")
                    .with_hint("give --username and --password-stdin"),
            )
        }
    };
    let username = match arguments.username {
        Some(username) => username,
        None => {
            interactive()?;
            let default = known.map(|known| known.username).unwrap_or_default();
            let prompt = if default.is_empty() {
                "Username: ".to_owned()
            } else {
                format!("Username ({default}): ")
            };
            let answer = question::ask(&prompt)?;
            if answer.is_empty() { default } else { answer }
        }
    };
    if username.is_empty() {
        return Err(CliError::new("username is empty"));
    }
    let secret = if arguments.password_stdin {
        let mut text = String::new();
        io::stdin().lock().take(64 * 1024).read_to_string(&mut text)?;
        text.trim_end_matches(['\r', '\n']).to_owned()
    } else if let Some(password) = arguments.password {
        password
    } else {
        interactive()?;
        question::ask_secret("Password: ")?
    };
    if secret.is_empty() {
        return Err(CliError::new("password is empty"));
    }
    Ok(Credentials {
        username,
        secret,
        ..Credentials::default()
    })
}

fn logout(context: &Context, arguments: LogoutArgs) -> Outcome {
    let key = key(arguments.server.as_deref());
    let mut store = context.credentials()?;
    context.print(&format!("Removing login credentials for {key}"))?;
    store.erase(&key)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_servers() {
        for (server, expected) in [
            (None, DOCKER_HUB_KEY),
            (Some("docker.io"), DOCKER_HUB_KEY),
            (Some("https://r.example/v2/"), "r.example"),
            (Some("localhost:5000"), "localhost:5000"),
        ] {
            assert_eq!(key(server), expected);
        }
    }
}

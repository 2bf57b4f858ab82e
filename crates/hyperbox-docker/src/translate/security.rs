// SPDX-License-Identifier: MIT
//! Privileges and `--security-opt`.

use hyperbox_core::container::{SeccompChoice, Security};

use crate::error::{ApiError, ApiResult};
use crate::wire::host_config::HostConfig;

/// Translates the wishes; whether a capability exists is the engine's to say.
///
/// # Errors
/// 400 for an unknown security option.
pub(crate) fn from_wire(host: &HostConfig) -> ApiResult<Security> {
    let mut security = Security {
        privileged: host.privileged,
        capabilities_add: capabilities(host.cap_add.as_deref()),
        capabilities_drop: capabilities(host.cap_drop.as_deref()),
        masked_paths: host.masked_paths.clone(),
        read_only_paths: host.readonly_paths.clone(),
        ..Security::default()
    };
    for option in host.security_opt.iter().flatten() {
        apply(&mut security, option)?;
    }
    Ok(security)
}

fn capabilities(names: Option<&[String]>) -> Vec<String> {
    let normalise = |name: &String| {
        let upper = name.to_ascii_uppercase();
        upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned()
    };
    names.unwrap_or_default().iter().map(normalise).collect()
}

fn apply(security: &mut Security, option: &str) -> ApiResult<()> {
    // Old clients separate with a colon.
    let pair = option.split_once('=').or_else(|| option.split_once(':'));
    let Some((name, value)) = pair else {
        return match option {
            "no-new-privileges" => {
                security.no_new_privileges = true;
                Ok(())
            }
            "writable-cgroups" => {
                security.writable_cgroups = Some(true);
                Ok(())
            }
            _ => Err(ApiError::bad_request(format!("invalid --security-opt 1: {option:?}"))),
        };
    };
    match (name, value) {
        ("label", value) => security.label_options.push(value.to_owned()),
        ("apparmor", value) => security.apparmor = Some(value.to_owned()),
        ("seccomp", "unconfined") => security.seccomp = SeccompChoice::Unconfined,
        ("seccomp", "builtin" | "default" | "") => security.seccomp = SeccompChoice::Default,
        ("seccomp", profile) => security.seccomp = SeccompChoice::Custom(profile.to_owned()),
        ("no-new-privileges", value) => {
            security.no_new_privileges = value
                .parse()
                .map_err(|_| ApiError::bad_request(format!("invalid --security-opt 2: {option:?}")))?;
        }
        ("systempaths", "unconfined") => security.system_paths_unconfined = true,
        ("writable-cgroups", value) => {
            let wish = go_bool(value).ok_or_else(|| {
                let message = format!("invalid --security-opt 2: {option:?}");
                ApiError::new(http::StatusCode::INTERNAL_SERVER_ERROR, message)
            })?;
            security.writable_cgroups = Some(wish);
        }
        _ => return Err(ApiError::bad_request(format!("invalid --security-opt 2: {option:?}"))),
    }
    Ok(())
}

/// What Go's `strconv.ParseBool` takes.
fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

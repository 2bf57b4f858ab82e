// SPDX-License-Identifier: MIT
//! Seccomp profiles in Docker's JSON form, resolved to the OCI form.
//!
//! Docker's form is the OCI form plus conditions (`includes`/`excludes` by capability, architecture and kernel version) and
//! groups. Resolving a profile against one container drops the conditions; the runtime compiles what is left.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hyperbox_types::Architecture;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Result, ServiceError};

/// Docker's default profile, as data.
const DEFAULT_PROFILE: &str = include_str!("seccomp-default.json");

/// A profile as users and Docker write it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Profile {
    default_action: String,
    #[serde(default)]
    default_errno_ret: Option<u32>,
    #[serde(default)]
    arch_map: Vec<ArchitectureMap>,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default, deserialize_with = "null_as_empty")]
    syscalls: Vec<Rule>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchitectureMap {
    architecture: String,
    #[serde(default, deserialize_with = "null_as_empty")]
    sub_architectures: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    #[serde(default)]
    name: Option<String>,
    #[serde(default, deserialize_with = "null_as_empty")]
    names: Vec<String>,
    action: String,
    #[serde(default)]
    errno_ret: Option<u32>,
    #[serde(default, deserialize_with = "null_as_empty")]
    args: Vec<Argument>,
    #[serde(default, deserialize_with = "null_as_empty")]
    includes: Condition,
    #[serde(default, deserialize_with = "null_as_empty")]
    excludes: Condition,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u32,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    #[serde(default, deserialize_with = "null_as_empty")]
    caps: Vec<String>,
    #[serde(default, deserialize_with = "null_as_empty")]
    arches: Vec<String>,
    #[serde(default)]
    min_kernel: Option<String>,
}

fn null_as_empty<'de, D, T>(deserializer: D) -> std::result::Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Returns Docker's default profile.
pub(crate) fn default_profile() -> &'static Profile {
    static PROFILE: OnceLock<Profile> = OnceLock::new();
    PROFILE.get_or_init(|| serde_json::from_str(DEFAULT_PROFILE).expect("the embedded profile is valid"))
}

/// Parses a profile of a user.
///
/// # Errors
/// `InvalidArgument` with Docker's beginning of the text.
pub(crate) fn parse(text: &str) -> Result<Profile> {
    let profile: Profile = serde_json::from_str(text)
        .map_err(|error| ServiceError::invalid(format!("Decoding seccomp profile failed: {error}")))?;
    if !profile.arch_map.is_empty() && !profile.architectures.is_empty() {
        return Err(ServiceError::invalid(
            "Decoding seccomp profile failed: 'architectures' and 'archMap' were specified in the seccomp profile, \
             use either 'architectures' or 'archMap'",
        ));
    }
    for rule in &profile.syscalls {
        if rule.name.is_some() && !rule.names.is_empty() {
            return Err(ServiceError::invalid(
                "Decoding seccomp profile failed: use either 'name' or 'names' in a rule, not both",
            ));
        }
    }
    Ok(profile)
}

/// What conditions are evaluated against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub capabilities: &'a [String],
    pub architecture: &'a Architecture,
    /// Major and minor version.
    pub kernel: (u32, u32),
}

/// What a resolved profile depends on: the user's text (none is Docker's default), capabilities, kernel.
type Question = (Option<String>, Vec<String>, (u32, u32));

/// How many answers are kept: most containers ask one of very few questions.
const KEPT: usize = 32;

/// Returns a profile as the text of an OCI specification's `linux.seccomp`, resolved for this machine; without a text Docker's default.
/// Containers that differ in nothing that matters share the answer.
///
/// # Errors
/// Those of [`parse`].
pub(crate) fn resolved(profile: Option<&str>, capabilities: Vec<String>, kernel: (u32, u32)) -> Result<Arc<str>> {
    static ANSWERS: Mutex<Option<HashMap<Question, Arc<str>>>> = Mutex::new(None);
    let question = (profile.map(str::to_owned), capabilities, kernel);
    // A map that somebody panicked over is whole all the same.
    let mut answers = ANSWERS.lock().unwrap_or_else(PoisonError::into_inner);
    let answers = answers.get_or_insert_default();
    if let Some(answer) = answers.get(&question) {
        return Ok(Arc::clone(answer));
    }
    let parsed = profile.map(parse).transpose()?;
    let subject = Subject {
        capabilities: &question.1,
        architecture: &Architecture::new(std::env::consts::ARCH),
        kernel,
    };
    let answer: Arc<str> = resolve(parsed.as_ref().unwrap_or_else(|| default_profile()), subject)
        .to_string()
        .into();
    if answers.len() >= KEPT {
        answers.clear();
    }
    answers.insert(question, Arc::clone(&answer));
    Ok(answer)
}

/// Resolves a profile to the OCI specification's `linux.seccomp` object.
pub(crate) fn resolve(profile: &Profile, subject: Subject<'_>) -> Value {
    let syscalls: Vec<Value> = profile
        .syscalls
        .iter()
        .filter(|rule| applies(rule, subject))
        .map(rule_to_oci)
        .collect();
    let mut seccomp = json!({
        "defaultAction": profile.default_action,
        "architectures": architectures(profile, subject.architecture),
        "syscalls": syscalls,
    });
    if let Some(errno) = profile.default_errno_ret {
        seccomp["defaultErrnoRet"] = errno.into();
    }
    if !profile.flags.is_empty() {
        seccomp["flags"] = profile.flags.clone().into();
    }
    seccomp
}

fn rule_to_oci(rule: &Rule) -> Value {
    let names: Vec<&String> = rule.name.iter().chain(&rule.names).collect();
    let mut value = json!({ "names": names, "action": rule.action });
    if let Some(errno) = rule.errno_ret {
        value["errnoRet"] = errno.into();
    }
    if !rule.args.is_empty() {
        value["args"] = json!(rule.args);
    }
    value
}

fn architectures(profile: &Profile, native: &Architecture) -> Vec<String> {
    if !profile.architectures.is_empty() {
        return profile.architectures.clone();
    }
    let native = match native.as_str() {
        "amd64" => "SCMP_ARCH_X86_64",
        "arm64" => "SCMP_ARCH_AARCH64",
        "riscv64" => "SCMP_ARCH_RISCV64",
        "s390x" => "SCMP_ARCH_S390X",
        _ => return Vec::new(),
    };
    profile
        .arch_map
        .iter()
        .filter(|map| map.architecture == native)
        .flat_map(|map| std::iter::once(&map.architecture).chain(&map.sub_architectures))
        .cloned()
        .collect()
}

fn applies(rule: &Rule, subject: Subject<'_>) -> bool {
    let has_capability = |name: &String| subject.capabilities.contains(name);
    let is_architecture = |name: &String| name == subject.architecture.as_str();
    let includes = &rule.includes;
    let excludes = &rule.excludes;
    (includes.arches.is_empty() || includes.arches.iter().any(is_architecture))
        && includes.caps.iter().all(has_capability)
        && includes
            .min_kernel
            .as_deref()
            .is_none_or(|minimum| kernel_at_least(subject.kernel, minimum))
        && !excludes.arches.iter().any(is_architecture)
        && !excludes.caps.iter().any(has_capability)
        && !excludes
            .min_kernel
            .as_deref()
            .is_some_and(|minimum| kernel_at_least(subject.kernel, minimum))
}

fn kernel_at_least(kernel: (u32, u32), minimum: &str) -> bool {
    let mut parts = minimum.split('.').map(|part| part.parse().unwrap_or(0));
    kernel >= (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(capabilities: &[&str]) -> Value {
        let capabilities: Vec<String> = capabilities.iter().map(|name| (*name).to_owned()).collect();
        let architecture = Architecture::new("amd64");
        resolve(
            default_profile(),
            Subject {
                capabilities: &capabilities,
                architecture: &architecture,
                kernel: (6, 18),
            },
        )
    }

    fn allows(seccomp: &Value, syscall: &str) -> bool {
        seccomp["syscalls"].as_array().expect("rules").iter().any(|rule| {
            rule["action"] == "SCMP_ACT_ALLOW"
                && rule.get("args").is_none()
                && rule["names"]
                    .as_array()
                    .expect("names")
                    .iter()
                    .any(|name| name == syscall)
        })
    }

    #[test]
    fn capabilities_open_system_calls() {
        let plain = resolved(&["CAP_CHOWN"]);
        let admin = resolved(&["CAP_SYS_ADMIN"]);
        assert!(allows(&plain, "read") && allows(&plain, "ptrace") && !allows(&plain, "mount"));
        assert!(allows(&admin, "mount") && allows(&admin, "clone"));
        assert!(
            !allows(&plain, "clone"),
            "clone is allowed only with arguments that make no namespace"
        );
        assert_eq!(
            plain["architectures"],
            json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"])
        );
        assert_eq!(plain["defaultErrnoRet"], 1);
    }

    #[test]
    fn result_is_what_the_oci_specification_says() {
        let oci: oci_spec::runtime::LinuxSeccomp = serde_json::from_value(resolved(&[])).expect("OCI seccomp object");
        assert!(oci.syscalls().as_ref().is_some_and(|rules| rules.len() > 5));
    }

    #[test]
    fn profiles_of_users() {
        assert!(parse("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":null}").is_ok());
        for text in [
            "",
            "{}",
            "[]",
            "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"a\"],\"archMap\":[{\"architecture\":\"b\"}]}",
            "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"name\":\"a\",\"names\":[\"b\"],\"action\":\"x\"}]}",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn kernel_versions() {
        assert!(kernel_at_least((6, 18), "4.8"));
        assert!(kernel_at_least((4, 8), "4.8"));
        assert!(!kernel_at_least((4, 7), "4.8"));
    }
}

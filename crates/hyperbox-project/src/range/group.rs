// SPDX-License-Identifier: MIT
//! Names of projects' control groups.

/// How long the id of a container is: their groups may stand beside those of projects.
const ID: usize = 64;

/// Returns the name of a project's control group below the engine's: the project's own, unless the kernel or a container has it.
///
/// In version 1 the directory of each group has files without a dot in their names (`cgroups(7)`), and a directory of such a name
/// cannot be made. A project's name never begins with `_`, so nobody else has what this makes of it.
pub fn group_name(project: &str) -> String {
    let is_file = matches!(project, "tasks" | "notify_on_release" | "release_agent");
    let is_id = project.len() == ID && project.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_file || is_id {
        format!("_{project}")
    } else {
        project.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let id = "0123456789abcdef".repeat(4);
        for (project, expected) in [
            ("shop", "shop"),
            ("tasks", "_tasks"),
            ("notify_on_release", "_notify_on_release"),
            ("release_agent", "_release_agent"),
            (id.as_str(), &format!("_{id}")),
            (&id[1..], &id[1..]),
        ] {
            assert_eq!(group_name(project), expected);
        }
    }
}

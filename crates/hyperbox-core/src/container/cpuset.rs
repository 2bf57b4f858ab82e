// SPDX-License-Identifier: MIT
//! Which processors and memory nodes a container may wish for, purely. The sentences are Docker's.
//!
//! A set is written as the kernel's list format (`cpuset(7)`): numbers and ranges such as `0-2,4`.

use std::collections::BTreeSet;

use super::Resources;
use crate::seam::ProcessorSets;
use crate::{Result, ServiceError};

/// Numbers beyond this are no processors of any kernel (`NR_CPUS`); it also bounds what a range expands to.
const MAXIMUM: u32 = 8192;

/// Checks the sets of processors and memory nodes against those that the machine has.
///
/// # Errors
/// `InvalidArgument` for malformed sets and for members that the machine has not.
pub(super) fn validate(resources: &Resources, machine: impl FnOnce() -> ProcessorSets) -> Result<()> {
    let wished = |set: &Option<String>| set.as_ref().is_some_and(|set| !set.is_empty());
    if !wished(&resources.cpuset_cpus) && !wished(&resources.cpuset_mems) {
        return Ok(());
    }
    let machine = machine();
    for (wish, what, name, available) in [
        (&resources.cpuset_cpus, "cpuset cpus", "CPUs", &machine.processors),
        (
            &resources.cpuset_mems,
            "cpuset mems",
            "memory nodes",
            &machine.memory_nodes,
        ),
    ] {
        let Some(wish) = wish.as_deref().filter(|wish| !wish.is_empty()) else {
            continue;
        };
        let wanted = parse(wish)
            .map_err(|reason| ServiceError::invalid(format!("Invalid value {wish} for {what}: {reason}")))?;
        // A machine that does not say what it has refuses nothing; the kernel still does.
        let Ok(known) = parse(available) else { continue };
        if !known.is_empty() && !wanted.is_subset(&known) {
            return Err(ServiceError::invalid(format!(
                "Requested {name} are not available - requested {wish}, available: {available}"
            )));
        }
    }
    Ok(())
}

/// Returns the members of a set, or why it is none.
fn parse(text: &str) -> Result<BTreeSet<u32>, String> {
    let invalid = || format!("invalid format: {text}");
    let number = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let value = plain
            .then(|| digits.parse::<u64>().unwrap_or(u64::MAX))
            .ok_or_else(invalid)?;
        u32::try_from(value)
            .ok()
            .filter(|value| *value <= MAXIMUM)
            .ok_or_else(|| format!("value of out range, maximum is {MAXIMUM}"))
    };
    let mut members = BTreeSet::new();
    if text.is_empty() {
        return Ok(members);
    }
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(invalid());
        }
        members.extend(first..=last);
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_of_docker() {
        let machine = ProcessorSets {
            processors: "0-1".to_owned(),
            memory_nodes: "0".to_owned(),
        };
        for (wish, reason) in [
            ("x", "invalid format: x"),
            ("0-", "invalid format: 0-"),
            ("1-0", "invalid format: 1-0"),
            ("-1", "invalid format: -1"),
            ("0,,1", "invalid format: 0,,1"),
            (" 0", "invalid format:  0"),
            ("0-99999", "value of out range, maximum is 8192"),
            ("0-1,9999999999", "value of out range, maximum is 8192"),
        ] {
            let cpus = Resources {
                cpuset_cpus: Some(wish.to_owned()),
                ..Resources::default()
            };
            let error = validate(&cpus, || machine.clone()).expect_err(wish);
            assert_eq!(
                error.message(),
                format!("Invalid value {wish} for cpuset cpus: {reason}")
            );
            let mems = Resources {
                cpuset_mems: Some(wish.to_owned()),
                ..Resources::default()
            };
            let error = validate(&mems, || machine.clone()).expect_err(wish);
            assert_eq!(
                error.message(),
                format!("Invalid value {wish} for cpuset mems: {reason}")
            );
        }
        for (cpus, mems, expected) in [
            (
                "99",
                "",
                "Requested CPUs are not available - requested 99, available: 0-1",
            ),
            (
                "0-2",
                "",
                "Requested CPUs are not available - requested 0-2, available: 0-1",
            ),
            (
                "",
                "99",
                "Requested memory nodes are not available - requested 99, available: 0",
            ),
            ("0,1", "0", ""),
            ("0-1", "", ""),
        ] {
            let resources = Resources {
                cpuset_cpus: Some(cpus.to_owned()),
                cpuset_mems: Some(mems.to_owned()),
                ..Resources::default()
            };
            let message = validate(&resources, || machine.clone())
                .err()
                .map(|error| error.message().to_owned());
            assert_eq!(message.unwrap_or_default(), expected);
        }
    }
}

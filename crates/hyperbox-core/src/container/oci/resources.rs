// SPDX-License-Identifier: MIT
//! Limits as the OCI specification's `linux.resources` object, and Docker's rules about them.

use hyperbox_types::ErrorKind;
use serde_json::{Map, Value, json};

use crate::container::{BlockDeviceLimit, Resources};
use crate::seam::{DeviceNode, Host};
use crate::{Result, ServiceError};

/// The smallest memory limit with which a container can start.
const MINIMUM_MEMORY: u64 = 6 * 1024 * 1024;

/// Refuses limits that contradict each other.
///
/// # Errors
/// `InvalidArgument` with Docker's text.
pub(crate) fn validate(resources: &Resources, cpus: u32) -> Result<()> {
    let swap = resources.memory_swap.filter(|swap| *swap > 0);
    let memory = resources.memory.map(|size| size.0).filter(|size| *size > 0);
    if swap.is_some() && memory.is_none() {
        return Err(ServiceError::invalid(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ));
    }
    validate_update(resources, cpus)
}

/// Refuses changes of limits that contradict each other.
///
/// # Errors
/// `InvalidArgument` with Docker's text.
pub(crate) fn validate_update(resources: &Resources, cpus: u32) -> Result<()> {
    let invalid = |message: &str| Err(ServiceError::invalid(message));
    let memory = resources.memory.map(|size| size.0).filter(|size| *size > 0);
    if memory.is_some_and(|memory| memory < MINIMUM_MEMORY) {
        return invalid("Minimum memory limit allowed is 6MB");
    }
    if let (Some(swap), Some(memory)) = (resources.memory_swap.filter(|swap| *swap > 0), memory)
        && u64::try_from(swap).is_ok_and(|swap| swap < memory)
    {
        return invalid("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    let reservation = resources.memory_reservation.map(|size| size.0);
    if reservation.is_some_and(|reservation| reservation > 0 && reservation < MINIMUM_MEMORY) {
        return invalid("Minimum memory reservation allowed is 6MB");
    }
    if let (Some(memory), Some(reservation)) = (memory, reservation)
        && reservation > memory
    {
        return invalid("Minimum memory limit can not be less than memory reservation limit, see usage");
    }
    if resources.memory_swappiness.is_some_and(|value| value > 100) {
        return invalid("Invalid value: valid memory swappiness range is 0-100");
    }
    if let Some(nano) = resources.nano_cpus.filter(|nano| *nano > 0) {
        if resources.cpu_period.unwrap_or(0) > 0 {
            return invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set");
        }
        if resources.cpu_quota.unwrap_or(0) > 0 {
            return invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
        }
        if nano > u64::from(cpus) * 1_000_000_000 {
            return Err(ServiceError::invalid(format!(
                "range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
            )));
        }
    }
    if resources
        .cpu_period
        .is_some_and(|period| period != 0 && !(1_000..=1_000_000).contains(&period))
    {
        return invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
    }
    if resources.cpu_quota.is_some_and(|quota| quota > 0 && quota < 1_000) {
        return invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    if resources
        .block_weight
        .is_some_and(|weight| weight != 0 && !(10..=1000).contains(&weight))
    {
        return invalid("Range of blkio weight is from 10 to 1000");
    }
    for (set, what) in [
        (&resources.cpuset_cpus, "cpuset cpus"),
        (&resources.cpuset_mems, "cpuset mems"),
    ] {
        if let Some(set) = set
            && !set.is_empty()
            && !is_list(set)
        {
            return Err(ServiceError::invalid(format!("Invalid value {set} for {what}")));
        }
    }
    Ok(())
}

/// Leaves out what the machine's kernel has no control for, as Docker does, and returns the warnings.
pub(crate) fn discard_unsupported(resources: &mut Resources, host: &dyn Host) -> Vec<String> {
    let mut warnings = Vec::new();
    let wished = resources.block_weight.is_some() || !resources.block_weight_devices.is_empty();
    if !wished || host.has_block_weights() {
        return warnings;
    }
    if resources.block_weight.take().is_some() {
        warnings.push(
            "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.".to_owned(),
        );
    }
    if !std::mem::take(&mut resources.block_weight_devices).is_empty() {
        warnings.push(
            "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded."
                .to_owned(),
        );
    }
    warnings
}

/// Tells whether the text is a list of numbers and ranges such as `0-2,4` (`cpuset(7)`, list format).
fn is_list(text: &str) -> bool {
    text.split(',').all(|item| {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        match (first.trim().parse::<u16>(), last.trim().parse::<u16>()) {
            (Ok(first), Ok(last)) => first <= last,
            _ => false,
        }
    })
}

/// Returns `linux.resources`. `devices` are those that the container gets, in addition to the usual ones.
///
/// # Errors
/// Those of looking up block devices.
pub(crate) fn to_oci(
    resources: &Resources,
    devices: &[(DeviceNode, String)],
    privileged: bool,
    host: &dyn Host,
) -> Result<Value> {
    let mut value = Map::new();
    value.insert("devices".to_owned(), device_rules(resources, devices, privileged)?);
    put(&mut value, "memory", memory(resources));
    put(&mut value, "cpu", cpu(resources));
    put(&mut value, "blockIO", block(resources, host)?);
    if let Some(pids) = resources.pids {
        // A limit that was taken away has to be taken out of the kernel, too: -1 for every runtime.
        let limit = if pids > 0 { pids } else { -1 };
        value.insert("pids".to_owned(), json!({ "limit": limit }));
    }
    Ok(Value::Object(value))
}

fn put(into: &mut Map<String, Value>, key: &str, object: Map<String, Value>) {
    if !object.is_empty() {
        into.insert(key.to_owned(), Value::Object(object));
    }
}

fn memory(resources: &Resources) -> Map<String, Value> {
    let mut memory = Map::new();
    let limit = resources.memory.map(|size| size.0).filter(|size| *size > 0);
    if let Some(limit) = limit {
        memory.insert("limit".to_owned(), limit.into());
    }
    match resources.memory_swap {
        Some(swap) if swap != 0 => {
            memory.insert("swap".to_owned(), swap.into());
        }
        // Without a wish, as much swap as memory: Docker's rule.
        _ => {
            if let Some(limit) = limit {
                memory.insert("swap".to_owned(), limit.saturating_mul(2).into());
            }
        }
    }
    if let Some(reservation) = resources.memory_reservation.filter(|size| size.0 > 0) {
        memory.insert("reservation".to_owned(), reservation.0.into());
    }
    if let Some(swappiness) = resources.memory_swappiness {
        memory.insert("swappiness".to_owned(), swappiness.into());
    }
    if resources.oom_kill_disable {
        memory.insert("disableOOMKiller".to_owned(), true.into());
    }
    memory
}

fn cpu(resources: &Resources) -> Map<String, Value> {
    let mut cpu = Map::new();
    if let Some(shares) = resources.cpu_shares.filter(|shares| *shares > 0) {
        cpu.insert("shares".to_owned(), shares.into());
    }
    if let Some(nano) = resources.nano_cpus.filter(|nano| *nano > 0) {
        cpu.insert("period".to_owned(), 100_000.into());
        cpu.insert("quota".to_owned(), (nano / 10_000).into());
    }
    if let Some(period) = resources.cpu_period.filter(|period| *period > 0) {
        cpu.insert("period".to_owned(), period.into());
    }
    if let Some(quota) = resources.cpu_quota.filter(|quota| *quota != 0) {
        cpu.insert("quota".to_owned(), quota.into());
    }
    if let Some(period) = resources.cpu_realtime_period.filter(|period| *period > 0) {
        cpu.insert("realtimePeriod".to_owned(), period.into());
    }
    if let Some(runtime) = resources.cpu_realtime_runtime.filter(|runtime| *runtime != 0) {
        cpu.insert("realtimeRuntime".to_owned(), runtime.into());
    }
    for (key, set) in [("cpus", &resources.cpuset_cpus), ("mems", &resources.cpuset_mems)] {
        if let Some(set) = set.as_ref().filter(|set| !set.is_empty()) {
            cpu.insert(key.to_owned(), set.clone().into());
        }
    }
    cpu
}

fn block(resources: &Resources, host: &dyn Host) -> Result<Map<String, Value>> {
    let mut block = Map::new();
    if let Some(weight) = resources.block_weight.filter(|weight| *weight > 0) {
        block.insert("weight".to_owned(), weight.into());
    }
    for (key, limits, number) in [
        ("weightDevice", &resources.block_weight_devices, "weight"),
        ("throttleReadBpsDevice", &resources.block_read_bytes, "rate"),
        ("throttleWriteBpsDevice", &resources.block_write_bytes, "rate"),
        ("throttleReadIOPSDevice", &resources.block_read_operations, "rate"),
        ("throttleWriteIOPSDevice", &resources.block_write_operations, "rate"),
    ] {
        if !limits.is_empty() {
            let entries: Result<Vec<Value>> = limits.iter().map(|limit| throttle(limit, number, host)).collect();
            block.insert(key.to_owned(), entries?.into());
        }
    }
    Ok(block)
}

fn throttle(limit: &BlockDeviceLimit, number: &str, host: &dyn Host) -> Result<Value> {
    let devices = host.devices(&limit.path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            ServiceError::internal(format!("stat {}: no such file or directory", limit.path.display()))
        }
        kind => ServiceError::from_mechanism("cannot limit block input and output", kind, error),
    })?;
    let device = devices
        .first()
        .ok_or_else(|| ServiceError::invalid(format!("{} is no block device", limit.path.display())))?;
    Ok(json!({ "major": device.major, "minor": device.minor, number: limit.rate }))
}

fn device_rules(resources: &Resources, devices: &[(DeviceNode, String)], privileged: bool) -> Result<Value> {
    if privileged {
        return Ok(json!([{ "allow": true, "access": "rwm" }]));
    }
    let mut rules = vec![json!({ "allow": false, "access": "rwm" })];
    let mut allow = |kind: &str, major: Option<i64>, minor: Option<i64>, access: &str| {
        let mut rule = json!({ "allow": true, "type": kind, "access": access });
        for (key, number) in [("major", major), ("minor", minor)] {
            if let Some(number) = number {
                rule[key] = number.into();
            }
        }
        rules.push(rule);
    };
    // Any device may be made; only these may be used: null, zero, full, random, urandom, tty, console, ptmx, pts.
    allow("c", None, None, "m");
    allow("b", None, None, "m");
    for (major, minor) in [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)] {
        allow("c", Some(major), Some(minor), "rwm");
    }
    allow("c", Some(136), None, "rwm");
    for (device, permissions) in devices {
        let kind = if device.block { "b" } else { "c" };
        allow(kind, Some(device.major.into()), Some(device.minor.into()), permissions);
    }
    for rule in &resources.device_rules {
        let parsed = parse_device_rule(rule)
            .ok_or_else(|| ServiceError::invalid(format!("invalid device cgroup rule format: '{rule}'")))?;
        allow(parsed.0, parsed.1, parsed.2, parsed.3);
    }
    Ok(rules.into())
}

/// Parses `c 1:3 rwm`, with `*` for any number and `a` for both kinds.
fn parse_device_rule(rule: &str) -> Option<(&str, Option<i64>, Option<i64>, &str)> {
    let mut words = rule.split_ascii_whitespace();
    let kind = words.next().filter(|kind| matches!(*kind, "a" | "b" | "c"))?;
    let (major, minor) = words.next()?.split_once(':')?;
    let number = |text: &str| {
        if text == "*" {
            Some(None)
        } else {
            text.parse().ok().map(Some)
        }
    };
    let access = words
        .next()
        .filter(|access| access.chars().all(|letter| "rwm".contains(letter)))?;
    if words.next().is_some() {
        return None;
    }
    Some((kind, number(major)?, number(minor)?, access))
}

#[cfg(test)]
mod tests {
    use hyperbox_types::ByteSize;

    use super::*;

    #[test]
    fn contradictions_are_refused() {
        let mib = |count: u64| Some(ByteSize(count << 20));
        let cases = [
            (
                Resources {
                    memory: mib(4),
                    ..Default::default()
                },
                "Minimum memory limit allowed is 6MB",
            ),
            (
                Resources {
                    memory_swap: Some(1 << 30),
                    ..Default::default()
                },
                "You should always set the Memory limit",
            ),
            (
                Resources {
                    memory: mib(64),
                    memory_swap: Some(1 << 20),
                    ..Default::default()
                },
                "Minimum memoryswap limit should be larger",
            ),
            (
                Resources {
                    nano_cpus: Some(3_000_000_000),
                    ..Default::default()
                },
                "range of CPUs is from 0.01 to 2.00",
            ),
            (
                Resources {
                    nano_cpus: Some(1),
                    cpu_quota: Some(5000),
                    ..Default::default()
                },
                "Conflicting options: Nano CPUs and CPU Quota",
            ),
            (
                Resources {
                    cpu_period: Some(10),
                    ..Default::default()
                },
                "CPU cfs period can not be less than 1ms",
            ),
            (
                Resources {
                    block_weight: Some(5),
                    ..Default::default()
                },
                "Range of blkio weight",
            ),
            (
                Resources {
                    cpuset_cpus: Some("0-".into()),
                    ..Default::default()
                },
                "Invalid value 0- for cpuset cpus",
            ),
        ];
        for (resources, expected) in cases {
            let error = validate(&resources, 2).expect_err(expected);
            assert!(error.message().starts_with(expected), "{}", error.message());
        }
        assert!(validate(&Resources::default(), 2).is_ok());
        assert!(
            validate(
                &Resources {
                    memory: mib(64),
                    memory_swap: Some(-1),
                    ..Default::default()
                },
                2
            )
            .is_ok()
        );
    }

    #[test]
    fn memory_gets_as_much_swap() {
        let limited = Resources {
            memory: Some(ByteSize(64 << 20)),
            ..Default::default()
        };
        assert_eq!(
            Value::Object(memory(&limited)),
            json!({ "limit": 64 << 20, "swap": 128 << 20 })
        );
        let unlimited = Resources {
            memory_swap: Some(-1),
            ..limited
        };
        assert_eq!(memory(&unlimited)["swap"], -1);
    }

    #[test]
    fn nano_cpus_are_a_quota() {
        let half = Resources {
            nano_cpus: Some(500_000_000),
            ..Default::default()
        };
        assert_eq!(Value::Object(cpu(&half)), json!({ "period": 100_000, "quota": 50_000 }));
    }

    #[test]
    fn device_rules_parse() {
        assert_eq!(parse_device_rule("c 1:3 rwm"), Some(("c", Some(1), Some(3), "rwm")));
        assert_eq!(parse_device_rule("b *:* r"), Some(("b", None, None, "r")));
        for text in ["", "x 1:3 r", "c 1 r", "c 1:3 q", "c 1:3 r w"] {
            assert_eq!(parse_device_rule(text), None, "{text}");
        }
    }
}

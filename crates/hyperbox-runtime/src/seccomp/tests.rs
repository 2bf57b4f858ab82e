// SPDX-License-Identifier: MIT
//! Compiled programs, run by a small interpreter, against a naive reading of their profiles.

use std::collections::HashMap;
use std::sync::OnceLock;

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompOperator};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::assembler::{AND, JUMP, JUMP_AT_LEAST, JUMP_EQUAL, JUMP_GREATER, LOAD, RETURN};
use super::table::{NONE, TABLE};
use super::{Architecture, Filter, Instruction, KILL_PROCESS};

/// What the kernel passes to a filter.
#[derive(Debug, Clone, Copy)]
struct Call {
    number: u32,
    architecture: u32,
    arguments: [u64; 6],
}

fn load(call: &Call, offset: u32) -> u32 {
    let mut bytes = [0_u8; 64];
    bytes[..4].copy_from_slice(&call.number.to_le_bytes());
    bytes[4..8].copy_from_slice(&call.architecture.to_le_bytes());
    for (index, argument) in call.arguments.iter().enumerate() {
        bytes[16 + 8 * index..24 + 8 * index].copy_from_slice(&argument.to_le_bytes());
    }
    let at = offset as usize;
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn interpret(program: &[Instruction], call: &Call) -> u32 {
    let (mut at, mut accumulator) = (0_usize, 0_u32);
    loop {
        let instruction = program[at];
        at += 1;
        let operand = instruction.operand;
        let holds = match instruction.code {
            RETURN => return operand,
            LOAD => {
                accumulator = load(call, operand);
                continue;
            }
            AND => {
                accumulator &= operand;
                continue;
            }
            JUMP => {
                at += operand as usize;
                continue;
            }
            JUMP_EQUAL => accumulator == operand,
            JUMP_GREATER => accumulator > operand,
            JUMP_AT_LEAST => accumulator >= operand,
            code => panic!("unknown instruction {code:#x}"),
        };
        at += usize::from(if holds {
            instruction.jump_true
        } else {
            instruction.jump_false
        });
    }
}

/// The numbers of x86-64 by name.
fn numbers() -> &'static HashMap<&'static str, u32> {
    static NUMBERS: OnceLock<HashMap<&'static str, u32>> = OnceLock::new();
    NUMBERS.get_or_init(|| {
        let known = TABLE.iter().filter(|(_, numbers)| numbers[0] != NONE);
        known.map(|(name, numbers)| (*name, u32::from(numbers[0]))).collect()
    })
}

fn verdict(action: &str, errno: Option<u64>) -> u32 {
    let data = u32::try_from(errno.unwrap_or(1)).unwrap();
    match action {
        "SCMP_ACT_ALLOW" => 0x7fff_0000,
        "SCMP_ACT_LOG" => 0x7ffc_0000,
        "SCMP_ACT_TRACE" => 0x7ff0_0000 | data,
        "SCMP_ACT_ERRNO" => 0x0005_0000 | data,
        "SCMP_ACT_TRAP" => 0x0003_0000,
        "SCMP_ACT_KILL_PROCESS" => KILL_PROCESS,
        _ => 0,
    }
}

fn holds(argument: &Value, call: &Call) -> bool {
    let actual = call.arguments[usize::try_from(argument["index"].as_u64().unwrap()).unwrap()];
    let value = argument["value"].as_u64().unwrap();
    match argument["op"].as_str().unwrap() {
        "SCMP_CMP_NE" => actual != value,
        "SCMP_CMP_LT" => actual < value,
        "SCMP_CMP_LE" => actual <= value,
        "SCMP_CMP_EQ" => actual == value,
        "SCMP_CMP_GE" => actual >= value,
        "SCMP_CMP_GT" => actual > value,
        "SCMP_CMP_MASKED_EQ" => actual & value == argument["valueTwo"].as_u64().unwrap(),
        other => panic!("{other}"),
    }
}

/// Reads the JSON itself, entry by entry. For x86-64 calls of a profile that lists that architecture alone.
fn naive(profile: &Value, call: &Call) -> u32 {
    let default = verdict(
        profile["defaultAction"].as_str().unwrap(),
        profile["defaultErrnoRet"].as_u64(),
    );
    if call.architecture != Architecture::X86_64.audit_number() {
        return KILL_PROCESS;
    }
    if call.number >= 0x4000_0000 {
        return if call.number == u32::MAX { default } else { KILL_PROCESS };
    }
    let (mut first_conditional, mut unconditional, mut highest) = (None, None, None);
    for entry in profile["syscalls"].as_array().unwrap() {
        let verdict = verdict(entry["action"].as_str().unwrap(), entry["errnoRet"].as_u64());
        for name in entry["names"].as_array().unwrap() {
            let Some(&number) = numbers().get(name.as_str().unwrap()) else {
                continue;
            };
            highest = highest.max(Some(number));
            if number != call.number || verdict == default {
                continue;
            }
            let arguments = entry["args"].as_array().cloned().unwrap_or_default();
            let mut indices: Vec<_> = arguments.iter().map(|argument| argument["index"].as_u64()).collect();
            indices.sort_unstable();
            let repeated = indices.windows(2).any(|pair| pair[0] == pair[1]);
            let matches = if repeated {
                arguments.iter().any(|argument| holds(argument, call))
            } else {
                arguments.iter().all(|argument| holds(argument, call))
            };
            if arguments.is_empty() {
                unconditional = unconditional.or(Some(verdict));
            } else if matches {
                first_conditional = first_conditional.or(Some(verdict));
            }
        }
    }
    let allows = matches!(
        profile["defaultAction"].as_str().unwrap(),
        "SCMP_ACT_ALLOW" | "SCMP_ACT_LOG" | "SCMP_ACT_TRACE"
    );
    if highest.is_some_and(|highest| call.number > highest) && !allows {
        return 0x0005_0000 | 38;
    }
    unconditional.or(first_conditional).unwrap_or(default)
}

fn compile(profile: &Value) -> Filter {
    let profile: LinuxSeccomp = serde_json::from_value(profile.clone()).unwrap();
    Filter::compile(&profile).unwrap()
}

fn action() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(["SCMP_ACT_ALLOW", null])),
        Just(json!(["SCMP_ACT_ERRNO", null])),
        Just(json!(["SCMP_ACT_ERRNO", 38])),
        Just(json!(["SCMP_ACT_KILL_PROCESS", null])),
        Just(json!(["SCMP_ACT_KILL", null])),
        Just(json!(["SCMP_ACT_TRAP", null])),
        Just(json!(["SCMP_ACT_LOG", null])),
        Just(json!(["SCMP_ACT_TRACE", 7])),
    ]
}

/// Values around the borders that 32-bit halves make.
fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        0_u64..4,
        Just(u64::from(u32::MAX)),
        Just(1 << 32),
        Just((1 << 32) | 1),
        Just((2 << 32) | 3),
        Just(u64::MAX),
        any::<u64>()
    ]
}

fn argument() -> impl Strategy<Value = Value> {
    let operators = [
        "SCMP_CMP_NE",
        "SCMP_CMP_LT",
        "SCMP_CMP_LE",
        "SCMP_CMP_EQ",
        "SCMP_CMP_GE",
        "SCMP_CMP_GT",
        "SCMP_CMP_MASKED_EQ",
    ];
    (0..3_u64, 0..operators.len(), value(), value()).prop_map(move |(index, operator, value, two)| {
        json!({ "index": index, "op": operators[operator], "value": value, "valueTwo": two })
    })
}

fn entry() -> impl Strategy<Value = Value> {
    let names = prop::collection::vec(0..TABLE.len(), 1..40);
    let arguments = prop_oneof![
        3 => Just(Vec::new()),
        2 => prop::collection::vec(argument(), 1..4)
    ];
    (names, action(), arguments).prop_map(|(names, action, arguments)| {
        let names: Vec<&str> = names.into_iter().map(|index| TABLE[index].0).collect();
        json!({ "names": names, "action": action[0], "errnoRet": action[1], "args": arguments })
    })
}

fn profile() -> impl Strategy<Value = Value> {
    (action(), prop::collection::vec(entry(), 0..12)).prop_map(
        |(default, entries)| json!({ "defaultAction": default[0], "defaultErrnoRet": default[1], "syscalls": entries }),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn programs_agree_with_their_profiles(
        profile in profile(),
        arguments in prop::array::uniform6(value()),
        odd in any::<u32>(),
    ) {
        let filter = compile(&profile);
        let native = Architecture::X86_64.audit_number();
        for number in (0..480).chain([odd, 0x3fff_ffff, 0x4000_0000, 0x4000_0001, u32::MAX]) {
            let call = Call { number, architecture: native, arguments };
            prop_assert_eq!(interpret(filter.program(), &call), naive(&profile, &call), "{:?}", call);
        }
        let foreign = Call { number: 1, architecture: odd | 1 << 29, arguments };
        prop_assert_eq!(interpret(filter.program(), &foreign), KILL_PROCESS);
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn other_architectures_have_their_own_numbers() {
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [
            { "names": ["socket"], "action": "SCMP_ACT_ERRNO", "args": [{ "index": 0, "op": "SCMP_CMP_EQ", "value": 40 }] },
            { "names": ["getpid"], "action": "SCMP_ACT_KILL_PROCESS" }
        ]
    });
    let filter = compile(&profile);
    let call = |architecture: Architecture, number, argument| Call {
        number,
        architecture: architecture.audit_number(),
        arguments: [argument, 0, 0, 0, 0, 0],
    };
    let (allow, refuse) = (0x7fff_0000, 0x0005_0001);
    for (call, expected) in [
        (call(Architecture::X86_64, 41, 40), refuse),
        (call(Architecture::X86_64, 41, 2), allow),
        (call(Architecture::X86, 41, 40), allow),
        (call(Architecture::X86, 359, 40), refuse),
        // socketcall(SYS_SOCKET): what is behind the pointer cannot be seen, so a refusal covers all of it.
        (call(Architecture::X86, 102, 1), refuse),
        (call(Architecture::X86, 102, 2), allow),
        (call(Architecture::X86, 20, 0), KILL_PROCESS),
        (call(Architecture::X32, 0x4000_0027, 0), KILL_PROCESS),
        (call(Architecture::X32, 0x4000_0028, 0), allow),
    ] {
        assert_eq!(interpret(filter.program(), &call), expected, "{call:?}");
    }
}

#[test]
fn a_profile_of_all_names_is_short() {
    let names: Vec<&str> = TABLE
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !name.starts_with('k'))
        .collect();
    let profile = json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [{ "names": names, "action": "SCMP_ACT_ALLOW" }]
    });
    let length = compile(&profile).program().len();
    assert!(length < 30, "{length} instructions");
}

#[test]
fn far_jumps_are_bridged() {
    // Every other number with a condition of its own: sections far longer than a conditional jump reaches.
    let entries: Vec<Value> = TABLE
        .iter()
        .enumerate()
        .map(|(index, (name, _))| {
            json!({ "names": [name], "action": "SCMP_ACT_ALLOW",
                    "args": [{ "index": 0, "op": "SCMP_CMP_EQ", "value": index }] })
        })
        .collect();
    let profile = json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": entries });
    let filter = compile(&profile);
    for (index, (_, numbers)) in TABLE.iter().enumerate() {
        let column = Architecture::NATIVE.column();
        if numbers[column] == NONE {
            continue;
        }
        for (argument, expected) in [(index as u64, 0x7fff_0000), (index as u64 + 1, 0x0005_0001)] {
            let call = Call {
                number: numbers[column].into(),
                architecture: Architecture::NATIVE.audit_number(),
                arguments: [argument, 0, 0, 0, 0, 0],
            };
            assert_eq!(interpret(filter.program(), &call), expected, "{call:?}");
        }
    }
}

#[test]
fn refusals_name_the_field() {
    for (profile, text) in [
        (
            json!({ "defaultAction": "SCMP_ACT_NOTIFY" }),
            "the seccomp action SCMP_ACT_NOTIFY is not supported by the embedded runtime",
        ),
        (
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["read"], "action": "SCMP_ACT_ERRNO",
                    "args": [{ "index": 6, "value": 0, "op": "SCMP_CMP_EQ" }] }] }),
            "invalid runtime configuration: linux.seccomp compares argument 6",
        ),
    ] {
        let profile: LinuxSeccomp = serde_json::from_value(profile).unwrap();
        assert_eq!(Filter::compile(&profile).unwrap_err().to_string(), text);
    }
    assert_eq!(LinuxSeccompOperator::default(), LinuxSeccompOperator::ScmpCmpEq);
}

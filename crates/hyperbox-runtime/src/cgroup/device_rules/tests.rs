// SPDX-License-Identifier: MIT
//! The program against a naive reading of the rules, by a small interpreter.

use super::*;
use proptest::prelude::*;

/// What the kernel passes: type, access, major, minor.
type Access = (i32, i32, i32, i32);

fn interpret(program: &[Instruction], access: Access) -> i32 {
    let context = [access.0 | access.1 << 16, access.2, access.3];
    let mut registers = [0_i32; 11];
    let mut at = 0;
    loop {
        let instruction = program[at];
        let (destination, source) = (
            usize::from(instruction.registers & 15),
            usize::from(instruction.registers >> 4),
        );
        at += 1;
        let jump = usize::try_from(instruction.offset).unwrap();
        match instruction.code {
            LOAD_WORD => registers[destination] = context[jump / 4],
            AND_32 => registers[destination] &= instruction.immediate,
            SHIFT_RIGHT_32 => registers[destination] >>= instruction.immediate,
            MOVE_REGISTER => registers[destination] = registers[source],
            MOVE => registers[destination] = instruction.immediate,
            JUMP_NOT_EQUAL if registers[destination] != instruction.immediate => at += jump,
            JUMP_EQUAL if registers[destination] == instruction.immediate => at += jump,
            JUMP_NOT_EQUAL | JUMP_EQUAL => {}
            EXIT => return registers[0],
            code => panic!("unknown instruction {code:#x}"),
        }
    }
}

fn naive(rules: &[Rule], access: Access) -> bool {
    let (kind, wanted, major, minor) = access;
    let mut verdict = false;
    for rule in rules {
        let same = rule.kind.is_none_or(|value| value == kind)
            && rule.major.is_none_or(|value| value == major)
            && rule.minor.is_none_or(|value| value == minor);
        let touched = if rule.allow {
            wanted & !rule.access == 0
        } else {
            wanted & rule.access != 0
        };
        if same && touched {
            verdict = rule.allow;
        }
    }
    verdict
}

fn configured(json: &str) -> Vec<LinuxDeviceCgroup> {
    serde_json::from_str(json).unwrap()
}

#[test]
fn texts_of_version_one() {
    let list = configured(
        r#"[{"allow":true,"type":"b","major":9,"minor":9,"access":"r"},{"allow":false,"access":"rwm"},
            {"allow":true,"type":"c","major":10,"minor":200,"access":"rw"},{"allow":true,"type":"b","access":"m"}]"#,
    );
    let texts: Vec<String> = texts(&list)
        .unwrap()
        .iter()
        .map(|setting| format!("{} {}", setting.file, setting.value))
        .collect();
    assert_eq!(
        texts[..4],
        [
            "devices.deny a",
            "devices.allow c 10:200 rw",
            "devices.allow b *:* m",
            "devices.allow c 1:3 rwm"
        ]
    );
    let everything = configured(r#"[{"allow":true,"access":"rwm"}]"#);
    assert_eq!(super::texts(&everything).unwrap(), [Setting::new("devices.allow", "a")]);
    assert_eq!(program(&[]).unwrap(), None);
}

fn rule() -> impl Strategy<Value = LinuxDeviceCgroup> {
    let kind = prop_oneof![Just("a"), Just("b"), Just("c")];
    let access = prop_oneof![Just("r"), Just("rw"), Just("m"), Just("rwm"), Just("wm")];
    (any::<bool>(), kind, -1_i64..3, -1_i64..3, access).prop_map(|(allow, kind, major, minor, access)| {
        let json =
            format!(r#"{{"allow":{allow},"type":"{kind}","major":{major},"minor":{minor},"access":"{access}"}}"#);
        serde_json::from_str(&json).unwrap()
    })
}

proptest! {
    #[test]
    fn program_agrees_with_the_rules(
        list in prop::collection::vec(rule(), 1..8),
        kind in 1..=2_i32, wanted in 1..=7_i32, major in 0..4_i32, minor in 0..4_i32,
    ) {
        let access = (kind, wanted, major, minor);
        let program = program(&list).unwrap().unwrap();
        prop_assert_eq!(interpret(&program, access) == 1, naive(&rules(&list).unwrap(), access));
    }
}

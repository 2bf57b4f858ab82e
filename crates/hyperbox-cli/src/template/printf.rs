// SPDX-License-Identifier: MIT
//! `printf`: the verbs `%s %v %q %d %f %g %x %t %%` with width, precision and the flags `-` and `0`.

use super::Value;

pub(super) fn format(format: &str, values: &[Value]) -> String {
    let mut output = String::new();
    let mut values = values.iter();
    let mut characters = format.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '%' {
            output.push(character);
            continue;
        }
        let (mut left, mut zero) = (false, false);
        while let Some(flag) = characters.next_if(|c| matches!(c, '-' | '0' | '+' | ' ' | '#')) {
            left |= flag == '-';
            zero |= flag == '0';
        }
        let mut number = |first: bool| {
            let mut digits = String::new();
            if first || characters.next_if_eq(&'.').is_some() {
                while let Some(digit) = characters.next_if(char::is_ascii_digit) {
                    digits.push(digit);
                }
                return digits.parse::<usize>().ok().map(|number| number.min(1000));
            }
            None
        };
        let width = number(true).unwrap_or_default();
        let precision = number(false);
        let text = match characters.next() {
            None => "%!(NOVERB)".to_owned(),
            Some('%') => "%".to_owned(),
            Some(verb) => match values.next() {
                Some(value) => convert(verb, precision, value),
                None => format!("%!{verb}(MISSING)"),
            },
        };
        let missing = width.saturating_sub(text.chars().count());
        match (left, zero) {
            (true, _) => output.extend([text, " ".repeat(missing)]),
            (false, true) => output.extend(["0".repeat(missing), text]),
            (false, false) => output.extend([" ".repeat(missing), text]),
        }
    }
    output
}

fn convert(verb: char, precision: Option<usize>, value: &Value) -> String {
    match (verb, value.as_number()) {
        ('q', _) => format!("{:?}", value.to_string()),
        ('f', Some(number)) => format!("{number:.*}", precision.unwrap_or(6)),
        ('x', None) => value.to_string().bytes().map(|byte| format!("{byte:02x}")).collect(),
        ('x', Some(_)) => value
            .to_string()
            .parse::<i64>()
            .map_or_else(|_| value.to_string(), |number| format!("{number:x}")),
        ('s', _) => {
            let text = value.to_string();
            precision.map_or(text.clone(), |length| text.chars().take(length).collect())
        }
        ('v' | 'g' | 't', _) | ('d', Some(_)) => value.to_string(),
        _ => format!("%!{verb}({value})"),
    }
}

// SPDX-License-Identifier: MIT
//! `hb events`, `hb system events`

use std::fmt::Write as _;
use std::io::Write;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::value::RawValue;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::options::{filter, timestamp};
use crate::template::{Template, Value, hidden};

/// Docker's exit code for a template that does not fit.
const EXIT_TEMPLATE: u8 = 64;

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = filter::pair)]
    filter: Vec<String>,
    /// Format output: 'json' or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show all events created since timestamp
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Stream events until this timestamp
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
}

pub(crate) const SPEC: Spec = spec!(
    EventsArgs,
    run,
    ["events"],
    "Get real time events from the server",
    "[OPTIONS]"
);

fn run(context: &Context, arguments: EventsArgs) -> Outcome {
    let filters = filter::parse(&arguments.filter);
    let template = match arguments.format.as_deref() {
        None | Some("") => None,
        Some("json") => Some(Template::parse("{{json .}}")?),
        Some(format) => {
            let format = format.replace("\\t", "\t").replace("\\n", "\n");
            Some(Template::parse(&format).map_err(|error| misfit(&error))?)
        }
    };
    let point = |text: Option<&str>| {
        text.map(|text| timestamp(text, Timestamp::now(), &TimeZone::system()))
            .transpose()
            .map_err(|_| {
                let text = text.unwrap_or_default();
                CliError::new(format!("failed to parse value as time or duration: {text:?}"))
            })
    };
    let (since, until) = (point(arguments.since.as_deref())?, point(arguments.until.as_deref())?);
    let events = context.client()?.events(&filters, since.as_deref(), until.as_deref())?;
    let mut output = context.output();
    for event in events {
        let event = read(&event?)?;
        let line = match &template {
            None => line(&event, &TimeZone::system()),
            Some(template) => template.render(&event).map_err(|error| misfit(&error))?,
        };
        writeln!(output, "{line}")?;
        // The reader waits for each event.
        output.flush()?;
    }
    Ok(0)
}

fn misfit(error: &dyn std::error::Error) -> CliError {
    CliError::new(format!("Error parsing format: {error}")).with_code(EXIT_TEMPLATE)
}

/// Reads an event. Docker's templates know some fields by another name than JSON does.
fn read(event: &RawValue) -> Result<Value, CliError> {
    let mut value: Value = serde_json::from_str(event.get()).map_err(|error| CliError::from_error(&error))?;
    let names = [
        ("status", "Status"),
        ("id", "ID"),
        ("from", "From"),
        ("scope", "Scope"),
        ("time", "Time"),
        ("timeNano", "TimeNano"),
    ];
    let others: Vec<(String, Value)> = names
        .iter()
        .map(|(json, go)| (hidden(go), value.field(json).cloned().unwrap_or_else(|| "".into())))
        .collect();
    if let Value::Map(fields) = &mut value {
        fields.extend(others);
    }
    Ok(value)
}

/// Shows an event: when, what, and with which attributes.
fn line(event: &Value, zone: &TimeZone) -> String {
    let text = |value: &Value, name: &str| value.field(name).map(ToString::to_string).unwrap_or_default();
    let mut line = String::new();
    let nanoseconds = text(event, "timeNano")
        .parse()
        .ok()
        .filter(|nanoseconds| *nanoseconds != 0);
    if let Some(point) = nanoseconds.and_then(|nanoseconds| Timestamp::from_nanosecond(nanoseconds).ok()) {
        line = moment(point, zone) + " ";
    }
    let empty = Value::Map(Vec::new());
    let actor = event.field("Actor").unwrap_or(&empty);
    // Writing to a string cannot fail.
    let _ = write!(
        line,
        "{} {} {}",
        text(event, "Type"),
        text(event, "Action"),
        text(actor, "ID")
    );
    if let Some(Value::Map(attributes)) = actor.field("Attributes")
        && !attributes.is_empty()
    {
        let pairs: Vec<String> = Value::sorted_fields(attributes)
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let _ = write!(line, " ({})", pairs.join(", ")); // as above
    }
    line
}

/// Shows a time as RFC 3339 with nine decimals.
fn moment(point: Timestamp, zone: &TimeZone) -> String {
    let local = point.to_zoned(zone.clone());
    let offset = if local.offset().seconds() == 0 {
        "Z".to_owned()
    } else {
        local.strftime("%:z").to_string()
    };
    format!("{}{offset}", local.strftime("%Y-%m-%dT%H:%M:%S%.9f"))
}

#[cfg(test)]
mod tests {
    use jiff::tz::Offset;

    use super::*;

    fn event(json: &str) -> Value {
        read(&RawValue::from_string(json.to_owned()).unwrap()).unwrap()
    }

    const NETWORK: &str = r#"{"Type":"network","Action":"create","Actor":{"ID":"59bf","Attributes":{"type":"bridge","name":"n"}},"scope":"local","time":1795408649,"timeNano":1795408649798334380}"#;

    #[test]
    fn lines() {
        assert_eq!(
            line(&event(NETWORK), &TimeZone::UTC),
            "2026-11-23T04:37:29.798334380Z network create 59bf (name=n, type=bridge)"
        );
        assert_eq!(
            line(&event(NETWORK), &TimeZone::fixed(Offset::constant(2))),
            "2026-11-23T06:37:29.798334380+02:00 network create 59bf (name=n, type=bridge)"
        );
        assert_eq!(
            line(
                &event(r#"{"Type":"volume","Action":"prune","Actor":{"ID":"","Attributes":{}}}"#),
                &TimeZone::UTC
            ),
            "volume prune "
        );
    }

    #[test]
    fn templates() {
        for (template, expected) in [
            ("{{json .}}", NETWORK),
            (
                "{{.Type}} {{.Action}} {{.Actor.ID}} {{.Time}} {{.TimeNano}} {{.Scope}} [{{.Status}}] {{.Actor.Attributes.name}}",
                "network create 59bf 1795408649 1795408649798334380 local [] n",
            ),
        ] {
            assert_eq!(
                Template::parse(template).unwrap().render(&event(NETWORK)).unwrap(),
                expected
            );
        }
        assert!(Template::parse("{{.Foo}}").unwrap().render(&event(NETWORK)).is_err());
    }
}

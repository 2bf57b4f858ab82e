// SPDX-License-Identifier: MIT
//! `GET /events`: what happened, as it happens.

use bytes::Bytes;
use futures_util::StreamExt;
use hyperbox_core::event::{Event, EventKind};
use hyperbox_core::time::Timestamp;

use crate::answer::{Answer, json_stream};
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::filters::Filters;
use crate::query::parse_moment;
use crate::router::{Route, route};
use crate::wire::system::{EventActor, EventMessage};

pub(super) const ROUTES: &[Route] = &[route!(Get "/events" => events)];

async fn events(call: Call) -> ApiResult<Answer> {
    // Docker ignores filters that it does not know here, and only here.
    let filters = Filters::parse(call.query.text("filters"))?;
    // Unlike elsewhere, 0 is a moment: the beginning of time.
    let moment = |name: &str| match call.query.text(name) {
        "" => Ok(None),
        text => parse_moment(text, Timestamp::now()).map(Some),
    };
    let (since, until) = (moment("since")?, moment("until")?);
    if let (Some(since), Some(until)) = (since, until)
        && since > until
    {
        return Err(ApiError::bad_request(format!(
            "`since` time ({}) cannot be after `until` time ({})",
            call.query.text("since"),
            call.query.text("until")
        )));
    }
    let stream = call.engine().events.subscribe(since, until);
    let lines = stream.filter_map(move |event| {
        let line = accepts(&filters, &event).then(|| line(&event));
        std::future::ready(line)
    });
    Ok(json_stream(lines))
}

fn line(event: &Event) -> Bytes {
    let mut line = serde_json::to_vec(&message(event)).unwrap_or_default();
    line.push(b'\n');
    Bytes::from(line)
}

fn message(event: &Event) -> EventMessage {
    // The old form knew containers and images only.
    let old = matches!(event.kind, EventKind::Container | EventKind::Image);
    let from = event
        .attributes
        .get("image")
        .filter(|_| event.kind == EventKind::Container);
    EventMessage {
        status: old.then(|| event.action.clone()),
        id: Some(event.actor.clone()).filter(|id| old && !id.is_empty()),
        from: from.cloned(),
        kind: event.kind.as_str(),
        action: event.action.clone(),
        actor: EventActor {
            id: event.actor.clone(),
            attributes: event.attributes.clone(),
        },
        scope: "local",
        time: event.time.seconds(),
        time_nano: event.time.0,
    }
}

/// Filters by an object's name or id. As with Docker, each accepts an object of any kind that is called so.
const BY_OBJECT: &[&str] = &[
    "container",
    "volume",
    "network",
    "daemon",
    "plugin",
    "node",
    "service",
    "secret",
    "config",
];

fn accepts(filters: &Filters, event: &Event) -> bool {
    // `exec_create: ls` is found by `exec_create` and by its whole text.
    let action = event.action.split(':').next().unwrap_or_default();
    filters.any("event", |wanted| wanted == event.action || wanted == action)
        && filters.exact("type", event.kind.as_str())
        && filters.exact("scope", "local")
        && filters.labels(&event.attributes)
        && BY_OBJECT.iter().all(|name| of_object(filters, event, name))
        && of_image(filters, event)
}

/// A filter by object accepts what begins with its value.
fn of_object(filters: &Filters, event: &Event, name: &str) -> bool {
    let actor_name = event.attributes.get("name").map_or("", String::as_str);
    filters.any(name, |wanted| {
        event.actor.starts_with(wanted) || actor_name.starts_with(wanted)
    })
}

/// A filter by image accepts events of the image and of containers made of it, with or without its tag.
fn of_image(filters: &Filters, event: &Event) -> bool {
    let attribute = match event.kind {
        EventKind::Image => "name",
        _ => "image",
    };
    let image = event.attributes.get(attribute).map_or("", String::as_str);
    let untagged = image.rsplit_once(':').map_or(image, |(name, _)| name);
    filters.any("image", |wanted| {
        (event.kind == EventKind::Image && event.actor == wanted) || image == wanted || untagged == wanted
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hyperbox_core::time::Timestamp;

    use super::*;

    fn event(kind: EventKind, action: &str) -> Event {
        let attributes = [("name", "web"), ("image", "busybox:1"), ("app", "x")];
        Event {
            kind,
            action: action.to_owned(),
            actor: "abcdef".to_owned(),
            attributes: attributes
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect::<BTreeMap<_, _>>(),
            time: Timestamp(5_000_000_001),
        }
    }

    #[test]
    fn filters() {
        let exec = event(EventKind::Container, "exec_create: ls -l");
        for (text, expected) in [
            ("{}", true),
            (r#"{"event":["exec_create"]}"#, true),
            (r#"{"event":["start"]}"#, false),
            (r#"{"container":["web"]}"#, true),
            (r#"{"container":["abc"]}"#, true),
            (r#"{"container":["other"]}"#, false),
            (r#"{"volume":["web"]}"#, true),
            (r#"{"volume":["eb"]}"#, false),
            (r#"{"container":["we"]}"#, true),
            (r#"{"type":["image"]}"#, false),
            (r#"{"image":["busybox"]}"#, true),
            (r#"{"image":["busybox:1"]}"#, true),
            (r#"{"image":["alpine"]}"#, false),
            (r#"{"label":["app=x"]}"#, true),
            (r#"{"label":["app=y"]}"#, false),
            (r#"{"service":["web"]}"#, true),
            (r#"{"bogus":["y"]}"#, true),
        ] {
            assert_eq!(accepts(&Filters::parse(text).expect(text), &exec), expected, "{text}");
        }
    }

    #[test]
    fn both_forms_are_told() {
        let value = serde_json::to_value(message(&event(EventKind::Container, "start"))).expect("JSON");
        for (key, expected) in [
            ("status", "start"),
            ("id", "abcdef"),
            ("from", "busybox:1"),
            ("Action", "start"),
        ] {
            assert_eq!(value[key], expected, "{key}");
        }
        assert_eq!(
            (&value["time"], &value["timeNano"]),
            (&5.into(), &5_000_000_001_i64.into())
        );
        let volume = serde_json::to_value(message(&event(EventKind::Volume, "create"))).expect("JSON");
        assert!(volume.get("status").is_none());
    }
}

// SPDX-License-Identifier: MIT
//! Messages of D-Bus, as far as firewalld needs them
//! (<https://dbus.freedesktop.org/doc/dbus-specification.html>, "Type System" and "Message Protocol"). Pure.
//!
//! What is read was written by whoever is on the bus: lengths are checked, and what is not understood is no error.

/// What a message begins with: byte order, type, flags, version, length of the body, serial, length of the fields.
pub(super) const HEADER: usize = 16;
/// Larger messages are refused: nothing that is asked for comes near.
const LONGEST: usize = 1 << 20;

const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;
const NO_AUTO_START: u8 = 2;

const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// What is called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Method {
    pub(super) destination: &'static str,
    pub(super) path: &'static str,
    pub(super) interface: &'static str,
    pub(super) member: &'static str,
}

/// An argument of a call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Argument<'a> {
    Text(&'a str),
    /// Settings by their names.
    Settings(&'a [(&'a str, Setting<'a>)]),
}

/// One of [`Argument::Settings`].
#[derive(Debug, Clone, Copy)]
pub(super) enum Setting<'a> {
    Text(&'a str),
    List(&'a [&'a str]),
}

/// An answer to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// All text that was returned.
    Returned(Vec<String>),
    /// The error's name and what it says.
    Refused { name: String, text: String },
}

#[derive(Debug, Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn number(&mut self, value: usize) {
        self.align(4);
        let value = u32::try_from(value).expect("what is written is short");
        self.0.extend(value.to_ne_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.0.push(u8::try_from(text.len()).expect("signatures are short"));
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    /// An array whose elements begin at multiples of `align`.
    fn array(&mut self, align: usize, content: impl FnOnce(&mut Self)) {
        self.number(0);
        let length_at = self.0.len() - 4;
        self.align(align);
        let start = self.0.len();
        content(self);
        let length = u32::try_from(self.0.len() - start).expect("what is written is short");
        self.0[length_at..length_at + 4].copy_from_slice(&length.to_ne_bytes());
    }

    fn argument(&mut self, argument: Argument<'_>) {
        match argument {
            Argument::Text(text) => self.text(text),
            Argument::Settings(settings) => self.array(8, |array| {
                for (name, setting) in settings {
                    array.align(8);
                    array.text(name);
                    array.setting(*setting);
                }
            }),
        }
    }

    fn setting(&mut self, setting: Setting<'_>) {
        match setting {
            Setting::Text(text) => {
                self.signature("s");
                self.text(text);
            }
            Setting::List(texts) => {
                self.signature("as");
                self.array(4, |array| texts.iter().for_each(|text| array.text(text)));
            }
        }
    }

    fn field(&mut self, code: u8, kind: &str, text: &str) {
        self.align(8);
        self.0.push(code);
        self.signature(kind);
        if kind == "g" {
            self.signature(text);
        } else {
            self.text(text);
        }
    }
}

/// Returns a call, which starts nobody who is not there.
pub(super) fn call(serial: u32, method: Method, arguments: &[Argument<'_>]) -> Vec<u8> {
    let kind = |argument: &Argument<'_>| match argument {
        Argument::Text(_) => "s",
        Argument::Settings(_) => "a{sv}",
    };
    let signature: String = arguments.iter().map(kind).collect();
    let mut body = Writer::default();
    arguments.iter().for_each(|argument| body.argument(*argument));
    let order = if cfg!(target_endian = "little") { b'l' } else { b'B' };
    let mut message = Writer(vec![order, METHOD_CALL, NO_AUTO_START, 1]);
    message.number(body.0.len());
    message.0.extend(serial.to_ne_bytes());
    message.array(8, |fields| {
        fields.field(PATH, "o", method.path);
        fields.field(INTERFACE, "s", method.interface);
        fields.field(MEMBER, "s", method.member);
        fields.field(DESTINATION, "s", method.destination);
        if !signature.is_empty() {
            fields.field(SIGNATURE, "g", &signature);
        }
    });
    message.align(8);
    message.0.extend(body.0);
    message.0
}

/// Reads bytes in the order of whoever wrote them.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    little: bool,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8], order: u8) -> Self {
        Self {
            bytes,
            at: 0,
            little: order == b'l',
        }
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn number(&mut self) -> Option<u32> {
        self.align(4);
        let bytes = self.take(4)?.try_into().ok()?;
        Some(if self.little {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        })
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        let text = self.take(length)?;
        self.take(1)?;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    fn signature(&mut self) -> Option<&'a str> {
        let length = usize::from(self.byte()?);
        let text = self.take(length)?;
        self.take(1)?;
        std::str::from_utf8(text).ok()
    }
}

/// Returns how many bytes follow a header; nothing if there is no such message, or it is too large.
pub(super) fn remaining(header: &[u8; HEADER]) -> Option<usize> {
    let mut reader = Reader::new(header, header[0]);
    reader.take(4)?;
    let body = usize::try_from(reader.number()?).ok()?;
    reader.number()?;
    let fields = usize::try_from(reader.number()?).ok()?;
    let length = fields.checked_next_multiple_of(8)?.checked_add(body)?;
    (length <= LONGEST).then_some(length)
}

/// Reads an answer to the call with that serial; nothing if the message is something else.
pub(super) fn answer(header: &[u8; HEADER], rest: &[u8], serial: u32) -> Option<Answer> {
    let order = header[0];
    let mut head = Reader::new(header, order);
    head.at = 12;
    let length = usize::try_from(head.number()?).ok()?;
    let fields = rest.get(..length)?;
    let body = rest.get(length.checked_next_multiple_of(8)?..)?;
    let (mut error, mut replies_to, mut signature) = (String::new(), None, String::new());
    let mut reader = Reader::new(fields, order);
    while reader.at < fields.len() {
        let code = reader.byte()?;
        match (code, reader.signature()?) {
            (ERROR_NAME, "s") => error = reader.text()?,
            (REPLY_SERIAL, "u") => replies_to = reader.number(),
            (SIGNATURE, "g") => reader.signature()?.clone_into(&mut signature),
            (_, "s" | "o") => drop(reader.text()?),
            (_, "g") => drop(reader.signature()?),
            (_, "u") => drop(reader.number()?),
            _ => return None,
        }
        reader.align(8);
    }
    if replies_to != Some(serial) {
        return None;
    }
    let texts = texts(body, order, &signature);
    match header[1] {
        METHOD_RETURN => Some(Answer::Returned(texts)),
        ERROR => Some(Answer::Refused {
            name: error,
            text: texts.into_iter().next().unwrap_or_default(),
        }),
        _ => None,
    }
}

/// Reads the text that a body begins with.
fn texts(body: &[u8], order: u8, signature: &str) -> Vec<String> {
    let mut reader = Reader::new(body, order);
    if signature.starts_with('s') {
        return reader.text().into_iter().collect();
    }
    let mut texts = Vec::new();
    if signature.starts_with("as") {
        let length = reader.number().and_then(|length| usize::try_from(length).ok());
        let end = length.and_then(|length| reader.at.checked_add(length));
        while end.is_some_and(|end| reader.at < end) {
            let Some(text) = reader.text() else { break };
            texts.push(text);
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;

    use super::*;

    const METHOD: Method = Method {
        destination: "org.example.Wall",
        path: "/org/example/Wall",
        interface: "org.example.Wall.zone",
        member: "add",
    };

    fn split(message: &[u8]) -> ([u8; HEADER], Vec<u8>) {
        let (header, rest) = message.split_at(HEADER);
        (header.try_into().unwrap(), rest.to_vec())
    }

    /// A message as another program would write it.
    fn written(kind: u8, signature: &str, body: &[u8]) -> Vec<u8> {
        let mut message = Writer(vec![
            if cfg!(target_endian = "little") { b'l' } else { b'B' },
            kind,
            0,
            1,
        ]);
        message.number(body.len());
        message.number(77);
        message.array(8, |fields| {
            fields.field(ERROR_NAME, "s", "org.example.No");
            fields.align(8);
            fields.0.push(REPLY_SERIAL);
            fields.signature("u");
            fields.number(5);
            fields.field(SIGNATURE, "g", signature);
        });
        message.align(8);
        message.0.extend(body);
        message.0
    }

    #[test]
    fn a_call_is_as_long_as_it_says() {
        for arguments in [
            &[][..],
            &[Argument::Text("hyperbox"), Argument::Text("hyperbox0")],
            &[
                Argument::Text("x"),
                Argument::Settings(&[("target", Setting::Text("ACCEPT")), ("zones", Setting::List(&["ANY"]))]),
            ],
        ] {
            let (header, rest) = split(&call(5, METHOD, arguments));
            assert_eq!(remaining(&header), Some(rest.len()));
            assert_eq!(answer(&header, &rest, 5), None, "a call is no answer");
        }
    }

    #[test]
    fn answers_are_read() {
        let mut list = Writer::default();
        list.array(4, |array| {
            ["public", "trusted"].iter().for_each(|text| array.text(text));
        });
        let mut text = Writer::default();
        text.text("ZONE_CONFLICT: taken");
        let returned = |texts: &[&str]| Some(Answer::Returned(texts.iter().map(|text| (*text).to_owned()).collect()));
        let refused = Answer::Refused {
            name: "org.example.No".to_owned(),
            text: "ZONE_CONFLICT: taken".to_owned(),
        };
        for (kind, signature, body, expected) in [
            (METHOD_RETURN, "as", &list.0, returned(&["public", "trusted"])),
            (METHOD_RETURN, "s", &text.0, returned(&["ZONE_CONFLICT: taken"])),
            (METHOD_RETURN, "", &Vec::new(), returned(&[])),
            (METHOD_RETURN, "u", &vec![1, 0, 0, 0], returned(&[])),
            (ERROR, "s", &text.0, Some(refused)),
            (4, "s", &text.0, None),
        ] {
            let (header, rest) = split(&written(kind, signature, body));
            assert_eq!(answer(&header, &rest, 5), expected, "{kind} {signature}");
            assert_eq!(answer(&header, &rest, 6), None, "another call's");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_message_is_read_without_panic(
            header in any::<[u8; HEADER]>(),
            length in 0_u8..120,
            rest in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut header = header;
            header[13..].fill(0);
            header[12] = length;
            remaining(&header);
            answer(&header, &rest, 1);
        }
    }
}

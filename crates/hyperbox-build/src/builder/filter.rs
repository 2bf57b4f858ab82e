// SPDX-License-Identifier: MIT
//! Filters of what is kept, in containerd's language (`pkg/filters`): selectors joined by commas must all hold, of several filters one. Pure.
//!
//! `field`, `field==value`, `field!=value`, `field~=expression`. Fields are those of `client/diskusage.go`.

use regex_lite::Regex;

use super::Kept;

/// Filters of what is kept between builds.
#[derive(Debug, Default)]
pub struct KeptFilter {
    any: Vec<Vec<Selector>>,
}

#[derive(Debug)]
struct Selector {
    field: Field,
    test: Test,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Id,
    Type,
    Description,
    InUse,
    Shared,
    Private,
    Mutable,
    Immutable,
    /// What records do not have.
    Other,
}

#[derive(Debug)]
enum Test {
    Present,
    Is(String),
    IsNot(String),
    Matches(Regex),
}

/// What filters look at.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeptFields<'a> {
    /// What names it.
    pub id: &'a str,
    /// What BuildKit's clients call its kind ([`super::KeptKind::name`]).
    pub kind: &'a str,
    /// For people.
    pub description: &'a str,
    /// Whether a step uses it now.
    pub in_use: bool,
    /// Whether an image has it too.
    pub shared: bool,
    /// Whether steps change it.
    pub mutable: bool,
}

impl<'a> From<&'a Kept> for KeptFields<'a> {
    fn from(kept: &'a Kept) -> Self {
        Self {
            id: &kept.id,
            kind: kept.kind.name(),
            description: &kept.description,
            in_use: kept.in_use,
            shared: kept.shared,
            mutable: kept.kind.is_mutable(),
        }
    }
}

/// A filter that is malformed.
#[derive(Debug, thiserror::Error)]
#[error("invalid filter {filter:?}: {source}")]
pub struct FilterError {
    filter: String,
    source: regex_lite::Error,
}

impl KeptFilter {
    /// Reads filters; none accepts everything.
    ///
    /// # Errors
    /// For expressions that are malformed.
    pub fn parse(filters: &[String]) -> Result<Self, FilterError> {
        let mut any = Vec::new();
        for filter in filters.iter().filter(|filter| !filter.is_empty()) {
            any.push(filter.split(',').map(selector).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(Self { any })
    }

    /// Tells whether everything is accepted.
    pub fn is_empty(&self) -> bool {
        self.any.is_empty()
    }

    /// Tells whether a record is meant.
    pub fn accepts(&self, record: &KeptFields<'_>) -> bool {
        self.any.is_empty()
            || self
                .any
                .iter()
                .any(|all| all.iter().all(|selector| selector.holds(record)))
    }
}

fn selector(text: &str) -> Result<Selector, FilterError> {
    let text = text.trim();
    let operators = ["==", "!=", "~="];
    let found = operators
        .iter()
        .filter_map(|operator| Some((text.find(operator)?, *operator)));
    let Some((position, operator)) = found.min() else {
        return Ok(Selector {
            field: field(text),
            test: Test::Present,
        });
    };
    let value = text[position + operator.len()..].trim_matches('"').to_owned();
    let test = match operator {
        "==" => Test::Is(value),
        "!=" => Test::IsNot(value),
        _ => Test::Matches(Regex::new(&value).map_err(|source| FilterError {
            filter: text.to_owned(),
            source,
        })?),
    };
    Ok(Selector {
        field: field(&text[..position]),
        test,
    })
}

fn field(name: &str) -> Field {
    match name.trim() {
        "id" => Field::Id,
        "type" => Field::Type,
        "description" => Field::Description,
        "inuse" => Field::InUse,
        "shared" => Field::Shared,
        "private" => Field::Private,
        "mutable" => Field::Mutable,
        "immutable" => Field::Immutable,
        _ => Field::Other,
    }
}

impl Selector {
    fn holds(&self, record: &KeptFields<'_>) -> bool {
        let value = self.field.of(record);
        match &self.test {
            Test::Present => value.is_some(),
            Test::Is(expected) => value == Some(expected),
            Test::IsNot(expected) => value != Some(expected),
            Test::Matches(expression) => value.is_some_and(|value| expression.is_match(value)),
        }
    }
}

impl Field {
    /// Returns what a record has; what is either so or not is there, without a value, or absent.
    fn of<'a>(self, record: &KeptFields<'a>) -> Option<&'a str> {
        let flag = |is: bool| is.then_some("");
        match self {
            Self::Id => Some(record.id),
            Self::Type => Some(record.kind),
            Self::Description => Some(record.description),
            Self::InUse => flag(record.in_use),
            Self::Shared => flag(record.shared),
            Self::Private => flag(!record.shared),
            Self::Mutable => flag(record.mutable),
            Self::Immutable => flag(!record.mutable),
            Self::Other => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_chosen() {
        let record = KeptFields {
            id: "abc",
            shared: true,
            kind: "regular",
            description: "RUN x == y",
            ..KeptFields::default()
        };
        for (filters, expected) in [
            (&[][..], true),
            (&[""], true),
            (&["id==abc"], true),
            (&["id==ab"], false),
            (&["id~=^ab"], true),
            (&["id~=bc$,type==regular"], true),
            (&["id~=bc$,type!=regular"], false),
            (&["shared"], true),
            (&["private"], false),
            (&["private", "immutable"], true),
            (&["unknown"], false),
            (&["inuse"], false),
            // What is so or not has no value to compare with.
            (&["shared==true"], false),
            (&["shared=="], true),
            (&["description==\"RUN x == y\""], true),
        ] {
            let filters: Vec<String> = filters.iter().map(|text| (*text).to_owned()).collect();
            let filter = KeptFilter::parse(&filters).expect("filters");
            assert_eq!(filter.accepts(&record), expected, "{filters:?}");
        }
        assert!(KeptFilter::parse(&["id~=(".to_owned()]).is_err());
    }
}

// SPDX-License-Identifier: MIT
//! Patterns of paths: `*` and `?` stay within a part of the path, `**` spans parts, `[a-z]` and `[^a-z]` are one character.
//!
//! Matching takes time of the pattern's length times the path's.

/// A pattern for one part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// `**`: any number of parts.
    Deep,
    /// Anything else.
    Name(Vec<Token>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Any,
    One,
    Character(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
}

impl Pattern {
    /// Parses a pattern, which has neither a slash at its ends nor `.` or `..`.
    ///
    /// # Errors
    /// An unended class or escape.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let parts = text.split('/').filter(|part| !part.is_empty()).map(|part| match part {
            "**" => Ok(Part::Deep),
            _ => tokens(part).map(Part::Name),
        });
        Ok(Self {
            parts: parts.collect::<Result<_, _>>()?,
        })
    }

    /// Tells whether the pattern matches the whole path.
    pub(crate) fn matches(&self, path: &[&str]) -> bool {
        *self.reached(path).last().unwrap_or(&false)
    }

    /// Tells whether something below the path, which is a directory, may match.
    pub(crate) fn may_match_below(&self, path: &[&str]) -> bool {
        let mut reached = self.start();
        for name in path {
            reached = self.step(&reached, name);
        }
        // Something is left to match, or it is a pattern that matches all that is deeper.
        reached[..self.parts.len()].iter().any(|reached| *reached)
    }

    /// For each number of parts of the pattern: whether so many of them match the path.
    fn reached(&self, path: &[&str]) -> Vec<bool> {
        path.iter()
            .fold(self.start(), |reached, name| self.step(&reached, name))
    }

    fn start(&self) -> Vec<bool> {
        let mut reached = vec![false; self.parts.len() + 1];
        reached[0] = true;
        self.skip_deep(&mut reached);
        reached
    }

    fn step(&self, before: &[bool], name: &str) -> Vec<bool> {
        let mut reached = vec![false; self.parts.len() + 1];
        let characters: Vec<char> = name.chars().collect();
        for (index, part) in self.parts.iter().enumerate().filter(|(index, _)| before[*index]) {
            match part {
                Part::Deep => reached[index] = true,
                Part::Name(tokens) if matches_name(tokens, &characters) => reached[index + 1] = true,
                Part::Name(_) => {}
            }
        }
        self.skip_deep(&mut reached);
        reached
    }

    /// `**` also stands for no part, unless it is the last: `a/**` is not `a`.
    fn skip_deep(&self, reached: &mut [bool]) {
        for (index, part) in self.parts.iter().enumerate() {
            if reached[index] && *part == Part::Deep && index + 1 < self.parts.len() {
                reached[index + 1] = true;
            }
        }
    }
}

impl Pattern {
    /// Whether its last part is `**`: then whatever reached that part and went on matches.
    pub(crate) fn ends_deep(&self) -> bool {
        self.parts.last() == Some(&Part::Deep)
    }

    /// As [`Self::matches`], for a pattern that ends with `**`.
    pub(crate) fn matches_deep(&self, path: &[&str]) -> bool {
        let Some((_, above)) = path.split_last() else {
            return false;
        };
        let last = self.parts.len().saturating_sub(1);
        self.ends_deep() && self.reached(above)[last]
    }
}

fn tokens(part: &str) -> Result<Vec<Token>, &'static str> {
    let mut tokens = Vec::new();
    let mut characters = part.chars().peekable();
    while let Some(character) = characters.next() {
        tokens.push(match character {
            '*' => Token::Any,
            '?' => Token::One,
            '\\' => Token::Character(characters.next().ok_or("syntax error in pattern")?),
            '[' => class(&mut characters)?,
            other => Token::Character(other),
        });
    }
    Ok(tokens)
}

fn class(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Token, &'static str> {
    const MALFORMED: &str = "syntax error in pattern";
    let negated = characters.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let first = match characters.next().ok_or(MALFORMED)? {
            ']' if !ranges.is_empty() => return Ok(Token::Class { negated, ranges }),
            ']' | '-' => return Err(MALFORMED),
            '\\' => characters.next().ok_or(MALFORMED)?,
            other => other,
        };
        let last = if characters.next_if_eq(&'-').is_some() {
            match characters.next().ok_or(MALFORMED)? {
                ']' | '-' => return Err(MALFORMED),
                '\\' => characters.next().ok_or(MALFORMED)?,
                other => other,
            }
        } else {
            first
        };
        ranges.push((first, last));
    }
}

fn matches_name(tokens: &[Token], name: &[char]) -> bool {
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    for token in tokens {
        let mut next = vec![false; name.len() + 1];
        for length in 0..=name.len() {
            next[length] = match token {
                Token::Any => reached[length] || (length > 0 && next[length - 1]),
                _ => length > 0 && reached[length - 1] && token.is(name[length - 1]),
            };
        }
        reached = next;
    }
    reached[name.len()]
}

impl Token {
    fn is(&self, character: char) -> bool {
        match self {
            Self::Any | Self::One => true,
            Self::Character(own) => *own == character,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&character)) != *negated
            }
        }
    }
}

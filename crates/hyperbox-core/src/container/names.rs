// SPDX-License-Identifier: MIT
//! Made-up names for containers that were given none: an adjective and a noun.

use hyperbox_types::ContainerName;

use crate::{Result, random};

const ADJECTIVES: [&str; 64] = [
    "able", "agile", "amber", "azure", "bold", "brave", "breezy", "bright", "brisk", "calm", "candid", "clever",
    "cosmic", "crisp", "dapper", "deft", "eager", "early", "fair", "fleet", "fond", "frank", "gentle", "glad",
    "golden", "grand", "hardy", "honest", "humble", "jolly", "keen", "kind", "light", "lively", "loyal", "lucid",
    "lucky", "merry", "mild", "modest", "neat", "nimble", "noble", "patient", "plucky", "polite", "proud", "quick",
    "quiet", "rapid", "ready", "serene", "sharp", "silver", "smart", "solid", "steady", "sunny", "swift", "tidy",
    "upbeat", "vivid", "warm", "witty",
];

const NOUNS: [&str; 64] = [
    "anchor", "badger", "beacon", "birch", "bison", "breeze", "bridge", "canyon", "cedar", "comet", "condor", "coral",
    "crane", "dolphin", "dune", "eagle", "ember", "falcon", "fern", "finch", "fjord", "forest", "galaxy", "geyser",
    "glacier", "harbor", "heron", "island", "jaguar", "juniper", "kestrel", "lagoon", "lantern", "lark", "lynx",
    "maple", "marlin", "meadow", "meteor", "mesa", "moon", "nebula", "ocean", "orchid", "osprey", "otter", "panda",
    "pebble", "pine", "planet", "prairie", "puffin", "quartz", "raven", "reef", "river", "sequoia", "sparrow",
    "summit", "thunder", "tiger", "valley", "walrus", "willow",
];

/// Makes up a name that `taken` does not refuse.
///
/// # Errors
/// Those of the random source.
pub(super) fn generate(taken: impl Fn(&ContainerName) -> bool) -> Result<ContainerName> {
    let mut attempt = 0_u32;
    loop {
        let [adjective, noun, first, second] = random::bytes::<4>()?;
        let mut text = format!(
            "{}_{}",
            ADJECTIVES[usize::from(adjective % 64)],
            NOUNS[usize::from(noun % 64)]
        );
        if attempt > 2 {
            text.push_str(&u16::from_le_bytes([first, second]).to_string());
        }
        if let Ok(name) = ContainerName::parse(&text)
            && !taken(&name)
        {
            return Ok(name);
        }
        attempt = attempt.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn avoids_names_in_use() {
        let plain = |name: &ContainerName| !name.as_str().ends_with(|last: char| last.is_ascii_digit());
        let name = generate(plain).expect("random source");
        assert!(name.as_str().ends_with(|last: char| last.is_ascii_digit()), "{name}");
    }
}

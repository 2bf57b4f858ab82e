// SPDX-License-Identifier: MIT
//! Which images have to be pulled or built before services can be made. Pure.
//!
//! Source: the Compose specification, `pull_policy`; what `docker compose up` does.

use std::collections::BTreeMap;

use crate::compose::parse_age;
use crate::create::image;
use crate::model::{Model, Service};
use crate::plan::Observed;

/// When images are pulled, instead of what the services say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull {
    /// Always.
    Always,
    /// When they are not there.
    Missing,
    /// Never.
    Never,
}

/// An image that is to be pulled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageWish {
    /// Its name.
    pub image: String,
    /// The platform, when one is said.
    pub platform: Option<String>,
    /// Whether one that is there already will do when it cannot be had, or one that is built.
    pub dispensable: bool,
}

/// What services need before they can be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageNeeds {
    /// Images to be pulled, each once.
    pub pulls: Vec<ImageWish>,
    /// Services whose images have to be built, which is the client's part.
    pub builds: Vec<String>,
    /// Services whose images are not there and must not be pulled, each with its image.
    pub missing: Vec<(String, String)>,
}

/// Decides what the services named need.
pub fn image_needs(model: &Model, services: &[String], observed: &Observed, policy: Option<Pull>) -> ImageNeeds {
    let mut needs = ImageNeeds::default();
    let mut pulls: BTreeMap<(String, Option<String>), bool> = BTreeMap::new();
    for name in services {
        let Some(service) = model.services.get(name) else {
            continue;
        };
        let here = observed.images.contains_key(name);
        let image = image(&model.name, name, service);
        match decide(service, here, observed.image_ages.get(name).copied(), policy) {
            Decision::Use => {}
            Decision::Build => needs.builds.push(name.clone()),
            Decision::Missing => needs.missing.push((name.clone(), image)),
            Decision::Pull { dispensable } => {
                let entry = pulls.entry((image, service.platform.clone())).or_insert(true);
                *entry = *entry && dispensable;
            }
        }
    }
    needs.pulls = pulls
        .into_iter()
        .map(|((image, platform), dispensable)| ImageWish {
            image,
            platform,
            dispensable,
        })
        .collect();
    needs
}

enum Decision {
    Use,
    Build,
    Missing,
    Pull { dispensable: bool },
}

/// How old an image may be before it is pulled again, in seconds.
fn oldest(policy: &str) -> Option<u64> {
    match policy {
        "daily" => Some(24 * 3600),
        "weekly" => Some(7 * 24 * 3600),
        _ => policy.strip_prefix("every_").and_then(parse_age),
    }
}

/// Decides for one service, whose image was got `age` seconds ago where that is known.
fn decide(service: &Service, here: bool, age: Option<u64>, policy: Option<Pull>) -> Decision {
    let own = service.pull_policy.as_deref().unwrap_or_default();
    let built = service.build.is_some();
    let pull = match (policy, own) {
        (Some(pull), _) => pull,
        (None, "always") => Pull::Always,
        (None, "never") => Pull::Never,
        (None, "build") => return if here { Decision::Use } else { Decision::Build },
        (None, own) => match oldest(own) {
            // One of an age that is not known is asked for again.
            Some(oldest) if age.is_none_or(|age| age > oldest) => Pull::Always,
            _ => Pull::Missing,
        },
    };
    let can_be_pulled = service.image.is_some();
    match (pull, here, built) {
        (Pull::Always, _, _) if can_be_pulled => Decision::Pull { dispensable: built },
        (_, true, _) => Decision::Use,
        (_, false, true) => Decision::Build,
        (Pull::Never, false, false) => Decision::Missing,
        (_, false, false) => Decision::Pull { dispensable: false },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Build;

    #[test]
    fn needs() {
        for (image, build, own, asked, here, expected) in [
            (true, false, "", None, true, ""),
            (true, false, "", None, false, "pull"),
            (true, false, "missing", None, false, "pull"),
            (true, false, "always", None, true, "pull"),
            (true, false, "always", Some(Pull::Missing), true, ""),
            (true, false, "daily", None, true, "pull"),
            (true, false, "never", None, false, "missing"),
            (true, false, "", Some(Pull::Never), false, "missing"),
            (true, false, "", Some(Pull::Always), true, "pull"),
            (true, true, "", None, false, "build"),
            (true, true, "", Some(Pull::Always), true, "pull?"),
            (false, true, "", Some(Pull::Always), true, ""),
            (false, true, "", None, false, "build"),
            (false, true, "build", None, true, ""),
            (false, true, "never", None, false, "build"),
        ] {
            let service = Service {
                image: image.then(|| "i".to_owned()),
                build: build.then(Build::default),
                pull_policy: Some(own.to_owned()).filter(|text| !text.is_empty()),
                ..Service::default()
            };
            let found = match decide(&service, here, None, asked) {
                Decision::Use => "",
                Decision::Build => "build",
                Decision::Missing => "missing",
                Decision::Pull { dispensable: true } => "pull?",
                Decision::Pull { dispensable: false } => "pull",
            };
            assert_eq!(found, expected, "{image} {build} {own:?} {asked:?} {here}");
        }
    }

    #[test]
    fn images_that_are_too_old_are_pulled_again() {
        for (policy, age, pulled) in [
            ("daily", Some(24 * 3600), false),
            ("daily", Some(24 * 3600 + 1), true),
            ("daily", None, true),
            ("weekly", Some(6 * 24 * 3600), false),
            ("weekly", Some(8 * 24 * 3600), true),
            ("every_1d12h", Some(35 * 3600), false),
            ("every_1d12h", Some(37 * 3600), true),
            ("missing", Some(u64::MAX), false),
        ] {
            let service = Service {
                image: Some("i".to_owned()),
                pull_policy: Some(policy.to_owned()),
                ..Service::default()
            };
            let pulls = |here, asked| matches!(decide(&service, here, age, asked), Decision::Pull { .. });
            assert_eq!(pulls(true, None), pulled, "{policy} {age:?}");
            assert!(pulls(false, None), "{policy} {age:?}");
            assert!(!pulls(true, Some(Pull::Missing)), "{policy} {age:?}");
        }
    }

    #[test]
    fn an_image_of_several_services_is_pulled_once() {
        let service = |platform: Option<&str>| Service {
            image: Some("i".to_owned()),
            platform: platform.map(str::to_owned),
            ..Service::default()
        };
        let model = Model {
            name: "p".to_owned(),
            services: BTreeMap::from([
                ("a".to_owned(), service(None)),
                ("b".to_owned(), service(None)),
                ("c".to_owned(), service(Some("linux/arm64"))),
            ]),
            ..Model::default()
        };
        let all: Vec<String> = model.services.keys().cloned().collect();
        let needs = image_needs(&model, &all, &Observed::default(), None);
        let platforms: Vec<_> = needs.pulls.iter().map(|wish| wish.platform.as_deref()).collect();
        assert_eq!(platforms, [None, Some("linux/arm64")]);
    }
}

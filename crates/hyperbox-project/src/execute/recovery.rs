// SPDX-License-Identifier: MIT
//! What a run that was interrupted in the middle of a replacement left, and how it is finished. Pure.
//!
//! A container is replaced in four steps: the new one is made under the name `ID_NAME` (the beginning of the old one's id), the old one is
//! stopped, the old one is removed, the new one gets its name. As long as the old one is there nothing is lost when the new one goes: the
//! anonymous volumes are still the old one's. Once it is gone, the new one only lacks its name.

use super::engine::EngineError;
use crate::model::Model;
use crate::plan::{ContainerState, Observed, ObservedContainer, container_name};

/// How many digits of the old one's id stand in the name.
const DIGITS: usize = 12;

/// What is done about a container that was to replace another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovery {
    /// The other one is gone: it gets the name.
    Rename {
        /// Its id.
        container: String,
        /// The name.
        name: String,
    },
    /// The other one is still there: it goes.
    Remove {
        /// Its id.
        container: String,
        /// Whether it runs.
        running: bool,
    },
}

/// The name that a container has until the one that it replaces is gone.
pub(crate) fn preliminary_name(replaced: &str, name: &str) -> String {
    format!("{}_{name}", replaced.get(..DIGITS).unwrap_or(replaced))
}

/// Finds what has to be finished.
pub fn recoveries(model: &Model, observed: &Observed) -> Vec<Recovery> {
    let unfinished = observed
        .containers
        .iter()
        .filter_map(|container| Some((container, final_name(model, container)?)));
    unfinished
        .map(|(container, name)| {
            if observed.containers.iter().any(|other| other.name == name) {
                Recovery::Remove {
                    container: container.id.clone(),
                    running: container.state == ContainerState::Running,
                }
            } else {
                Recovery::Rename {
                    container: container.id.clone(),
                    name,
                }
            }
        })
        .collect()
}

/// What there is once all is finished.
#[must_use]
pub fn recovered(mut observed: Observed, recoveries: &[Recovery]) -> Observed {
    for recovery in recoveries {
        match recovery {
            Recovery::Rename { container, name } => {
                let renamed = observed.containers.iter_mut().find(|known| known.id == *container);
                if let Some(known) = renamed {
                    known.name.clone_from(name);
                }
            }
            Recovery::Remove { container, .. } => observed.containers.retain(|known| known.id != *container),
        }
    }
    observed
}

/// The name that a container was to get; `None` for one that has its name.
fn final_name(model: &Model, container: &ObservedContainer) -> Option<String> {
    let (digits, name) = container.name.split_once('_')?;
    let is_id = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let service = model.services.get(&container.service)?;
    let expected = container_name(&model.name, &container.service, service, container.number);
    (is_id && !container.one_off && name == expected).then_some(expected)
}

/// Finishes what an interrupted run left.
pub(crate) async fn recover(engine: &dyn super::ProjectEngine, recoveries: &[Recovery]) -> Result<(), EngineError> {
    for recovery in recoveries {
        match recovery {
            Recovery::Rename { container, name } => engine.rename_container(container, name).await?,
            Recovery::Remove { container, running } => {
                if *running {
                    engine.kill_container(container, None).await?;
                }
                // Its volumes are those of the one that it was to replace.
                engine.remove_container(container, false).await?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::Service;

    fn observed(names: &[&str]) -> Observed {
        let containers = names.iter().enumerate().map(|(index, name)| ObservedContainer {
            id: format!("id{index}"),
            name: (*name).to_owned(),
            service: "web".to_owned(),
            number: 1,
            one_off: false,
            state: ContainerState::Created,
            config_hash: String::new(),
            image: String::new(),
        });
        Observed {
            containers: containers.collect(),
            ..Observed::default()
        }
    }

    #[test]
    fn replacements_are_finished() {
        let model = Model {
            name: "p".to_owned(),
            services: BTreeMap::from([("web".to_owned(), Service::default())]),
            ..Model::default()
        };
        let rename = || Recovery::Rename {
            container: "id0".to_owned(),
            name: "p-web-1".to_owned(),
        };
        let remove = || Recovery::Remove {
            container: "id0".to_owned(),
            running: false,
        };
        for (names, expected) in [
            (&["p-web-1"][..], vec![]),
            (&["0123456789ab_p-web-1"][..], vec![rename()]),
            (&["0123456789ab_p-web-1", "p-web-1"][..], vec![remove()]),
            // Names that somebody chose.
            (&["0123456789ab_other"][..], vec![]),
            (&["short_p-web-1"][..], vec![]),
        ] {
            let observed = observed(names);
            let found = recoveries(&model, &observed);
            assert_eq!(found, expected, "{names:?}");
            assert!(recoveries(&model, &recovered(observed, &found)).is_empty(), "{names:?}");
        }
        assert_eq!(preliminary_name("0123456789abcdef", "p-web-1"), "0123456789ab_p-web-1");
    }
}

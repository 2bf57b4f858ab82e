// SPDX-License-Identifier: MIT
//! Variables of stages that build on each other. What a stage inherits is not copied for it: thousands of stages can stand on one with
//! thousands of variables.
//!
//! Each [`Layer`] is more than twice as long as the one above it, so there are few below any stage.

use std::collections::HashMap;
use std::rc::Rc;

/// The variables that a stage sees so far. Clones of what is [shared](Self::share) are cheap.
#[derive(Debug, Clone, Default)]
pub(super) struct Variables {
    own: HashMap<Rc<str>, Rc<str>>,
    below: Option<Rc<Layer>>,
}

#[derive(Debug)]
struct Layer {
    values: HashMap<Rc<str>, Rc<str>>,
    below: Option<Rc<Layer>>,
}

impl Variables {
    pub(super) fn get(&self, name: &str) -> Option<&Rc<str>> {
        let layers = std::iter::successors(self.below.as_deref(), |layer| layer.below.as_deref());
        let inherited = || layers.map(|layer| &layer.values).find_map(|values| values.get(name));
        self.own.get(name).or_else(inherited)
    }

    pub(super) fn set(&mut self, name: &str, value: Rc<str>) {
        self.own.insert(Rc::from(name), value);
    }

    /// Makes clones cheap.
    pub(super) fn share(&mut self) {
        if self.own.is_empty() {
            return;
        }
        let mut values = std::mem::take(&mut self.own);
        while let Some(layer) = self.below.take_if(|layer| layer.values.len() <= values.len() * 2) {
            for (name, value) in &layer.values {
                values.entry(Rc::clone(name)).or_insert_with(|| Rc::clone(value));
            }
            self.below.clone_from(&layer.below);
        }
        let below = self.below.take();
        self.below = Some(Rc::new(Layer { values, below }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_above_counts_and_nothing_is_lost() {
        let mut variables = Variables::default();
        let mut stages = Vec::new();
        for number in 0..1000 {
            variables.set(&format!("OF{number}"), Rc::from("own"));
            variables.set("ALL", Rc::from(number.to_string()));
            variables.share();
            stages.push(variables.clone());
        }
        for (number, stage) in stages.iter().enumerate() {
            assert_eq!(stage.get("ALL").map(AsRef::as_ref), Some(number.to_string().as_str()));
            assert!(stage.get("OF0").is_some() && stage.get(&format!("OF{number}")).is_some());
            assert!(stage.get(&format!("OF{}", number + 1)).is_none());
            let layers = std::iter::successors(stage.below.as_deref(), |layer| layer.below.as_deref());
            assert!(layers.count() < 12, "{number}");
        }
    }

    #[test]
    fn what_is_inherited_is_not_copied() {
        let mut base = Variables::default();
        (0..1000).for_each(|number| base.set(&format!("V{number}"), Rc::from("value")));
        base.share();
        let mut stage = base.clone();
        stage.set("V1", Rc::from("other"));
        stage.share();
        let own = stage.below.as_ref().expect("a layer");
        assert_eq!(own.values.len(), 1);
        assert!(own.below.as_ref().is_some_and(|layer| layer.values.len() == 1000));
        assert_eq!(stage.get("V1").map(AsRef::as_ref), Some("other"));
        assert_eq!(base.get("V1").map(AsRef::as_ref), Some("value"));
    }
}

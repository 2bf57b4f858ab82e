// SPDX-License-Identifier: MIT
//! Credentials of registries that came with the request.

use std::collections::HashMap;

use async_trait::async_trait;
use hyperbox_build::StepError;
use hyperbox_build::request::RegistryAccess;
use hyperbox_core::seam::Credentials;
use hyperbox_types::ImageReference;

/// What Docker's clients call their usual registry.
const USUAL: &str = "https://index.docker.io/v1/";

/// Credentials by registry.
#[derive(Clone, Default)]
pub struct KnownCredentials(pub(crate) HashMap<String, Credentials>);

impl std::fmt::Debug for KnownCredentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

impl KnownCredentials {
    /// Finds those for an image, whichever way the client names its registry.
    pub fn find(&self, image: &ImageReference) -> Option<&Credentials> {
        let host = image.repository().host().to_string();
        let usual = matches!(host.as_str(), "docker.io" | "index.docker.io");
        let names = [host.clone(), format!("https://{host}"), format!("https://{host}/")];
        let mut names = names.iter().map(String::as_str).chain(usual.then_some(USUAL));
        names.find_map(|name| self.0.get(name))
    }
}

#[async_trait]
impl RegistryAccess for KnownCredentials {
    async fn credentials(&self, image: &ImageReference) -> Result<Option<Credentials>, StepError> {
        Ok(self.find(image).cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_have_several_names() {
        let credentials = |user: &str| Credentials {
            username: user.to_owned(),
            ..Credentials::default()
        };
        let known = KnownCredentials(HashMap::from([
            (USUAL.to_owned(), credentials("usual")),
            ("h:5000".to_owned(), credentials("own")),
        ]));
        let user = |name: &str| {
            let image = ImageReference::parse(name).expect("name");
            known.find(&image).map(|found| found.username.clone())
        };
        assert_eq!(user("busybox").as_deref(), Some("usual"));
        assert_eq!(user("h:5000/a/b:c").as_deref(), Some("own"));
        assert_eq!(user("other:5000/a"), None);
    }
}

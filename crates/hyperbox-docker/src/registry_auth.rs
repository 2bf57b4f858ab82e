// SPDX-License-Identifier: MIT
//! Registry credentials as Docker's clients send them: the `X-Registry-Auth` header (base64url of JSON) and the body of `/auth`. Pure.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use hyperbox_core::seam::Credentials;
use serde::Deserialize;

/// Go's `base64.URLEncoding`, and with or without padding, as other clients send it.
const URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
const STANDARD: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Docker's `AuthConfig`. Not `Debug`: it holds secrets.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct AuthConfig {
    username: String,
    password: String,
    /// `base64(user:password)`, used when the two fields above are empty.
    auth: String,
    /// The registry.
    pub serveraddress: String,
    identitytoken: String,
    registrytoken: String,
}

impl AuthConfig {
    /// Returns the credentials; `None` when there are none.
    pub(crate) fn credentials(self) -> Option<Credentials> {
        let (mut username, mut password) = (self.username, self.password);
        if username.is_empty() && !self.auth.is_empty() {
            let decoded = STANDARD
                .decode(&self.auth)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            if let Some((user, secret)) = decoded.as_deref().and_then(|text| text.split_once(':')) {
                username = user.to_owned();
                password = secret.trim_end_matches('\0').to_owned();
            }
        }
        let some = |text: String| (!text.is_empty()).then_some(text);
        let credentials = Credentials {
            username,
            password,
            identity_token: some(self.identitytoken),
            registry_token: some(self.registrytoken),
        };
        (credentials != Credentials::default()).then_some(credentials)
    }
}

/// Reads the header; what cannot be read is no credentials, as for Docker: the registry will say whether it wants some.
pub(crate) fn from_header(header: Option<&str>) -> Option<Credentials> {
    let header = header?.trim();
    let bytes = URL.decode(header).or_else(|_| STANDARD.decode(header)).ok()?;
    serde_json::from_slice::<AuthConfig>(&bytes).ok()?.credentials()
}

/// Reads the header with the credentials of several registries, by host; what cannot be read is none.
pub(crate) fn from_config_header(header: Option<&str>) -> HashMap<String, Credentials> {
    let bytes = header.map(str::trim).unwrap_or_default();
    let bytes = URL
        .decode(bytes)
        .or_else(|_| STANDARD.decode(bytes))
        .unwrap_or_default();
    let configs: HashMap<String, AuthConfig> = serde_json::from_slice(&bytes).unwrap_or_default();
    let known = configs.into_iter();
    known
        .filter_map(|(host, config)| Some((host, config.credentials()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_with_several_registries() {
        let header = URL.encode(r#"{"h:5000":{"username":"u","password":"p"},"none":{}}"#);
        let known = from_config_header(Some(&header));
        assert_eq!(known.len(), 1);
        assert_eq!(known["h:5000"].username, "u");
        for none in [None, Some(""), Some("%"), Some("bnVsbA=="), Some("W10=")] {
            assert!(from_config_header(none).is_empty(), "{none:?}");
        }
    }

    #[test]
    fn headers_of_real_clients() {
        let named = from_header(Some(
            &URL.encode(r#"{"username":"u","password":"p>?","serveraddress":"h:5000"}"#),
        ));
        let named = named.expect("credentials");
        assert_eq!((named.username.as_str(), named.password.as_str()), ("u", "p>?"));
        let packed = from_header(Some(&URL.encode(r#"{"auth":"dTpw"}"#))).expect("credentials");
        assert_eq!((packed.username.as_str(), packed.password.as_str()), ("u", "p"));
        let token = from_header(Some(&URL.encode(r#"{"identitytoken":"t"}"#))).expect("credentials");
        assert_eq!(token.identity_token.as_deref(), Some("t"));
        for none in [None, Some(""), Some("e30="), Some("e30"), Some("%%%"), Some("bnVsbA==")] {
            assert!(from_header(none).is_none(), "{none:?}");
        }
    }
}

// SPDX-License-Identifier: MIT
//! Image references, digests and platforms: what parses prints so that it parses to the same.
#![no_main]

use hyperbox_types::{Digest, ImageReference, Platform, RegistryHost};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(reference) = ImageReference::parse(text) {
        let again = ImageReference::parse(&reference.to_string()).expect("what was printed parses");
        assert_eq!(again, reference);
        // The path goes into URLs as it is.
        let path = reference.repository().path();
        assert!(
            path.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-/".contains(&byte))
        );
        assert!(
            !path
                .split('/')
                .any(|component| component.is_empty() || component == ".." || component == ".")
        );
        let host = reference.repository().host();
        assert_eq!(RegistryHost::parse(host.as_str()).as_ref(), Ok(host));
    }
    if let Ok(digest) = Digest::parse(text) {
        assert_eq!(digest.to_string(), text);
    }
    if let Ok(platform) = Platform::parse(text) {
        assert_eq!(platform.rank(&platform), Some(0));
    }
});

// SPDX-License-Identifier: MIT
//! The rules: what each is called, what it asks for, and where to read about it.
//!
//! Names, descriptions and addresses are BuildKit's, so that `# check=skip=…` and what editors know of them hold here too.
//! Source: <https://docs.docker.com/reference/build-checks/>.

/// A rule that a Dockerfile can break without being wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Stage names are in small letters.
    StageNameCasing,
    /// `FROM … AS` or `from … as`.
    FromAsCasing,
    /// No empty line inside of an instruction.
    NoEmptyContinuation,
    /// All instructions in capitals, or all in small letters.
    ConsistentInstructionCasing,
    /// A stage name is given once.
    DuplicateStageName,
    /// `scratch` and `context` are no stages.
    ReservedStageName,
    /// CMD and ENTRYPOINT as JSON.
    JsonArgsRecommended,
    /// LABEL instead of MAINTAINER.
    MaintainerDeprecated,
    /// FROM uses arguments that are declared before it.
    UndefinedArgInFrom,
    /// The first WORKDIR is absolute.
    WorkdirRelativePath,
    /// Variables are defined before they are used.
    UndefinedVar,
    /// One CMD, ENTRYPOINT and HEALTHCHECK for each stage.
    MultipleInstructionsDisallowed,
    /// `ENV name=value`, not `ENV name value`.
    LegacyKeyValueFormat,
    /// `--platform=$TARGETPLATFORM` says nothing.
    RedundantTargetPlatform,
    /// Secrets are mounted, never ARG or ENV.
    SecretsUsedInArgOrEnv,
    /// FROM names an image also when no argument is given.
    InvalidDefaultArgInFrom,
    /// `--platform` of FROM is a variable.
    FromPlatformFlagConstDisallowed,
    /// COPY takes nothing that `.dockerignore` leaves out. Experimental.
    CopyIgnoredFile,
    /// Comments before ARG and FROM describe them. Experimental.
    InvalidDefinitionDescription,
    /// The protocol of a port is in small letters.
    ExposeProtoCasing,
    /// EXPOSE has no address and no port of the machine.
    ExposeInvalidFormat,
}

/// Name, last part of the address, description.
type Told = (&'static str, &'static str, &'static str);

impl Rule {
    /// Returns the name by which directives skip it.
    pub const fn name(self) -> &'static str {
        self.told().0
    }

    /// Returns the address of its documentation.
    pub fn url(self) -> String {
        format!("https://docs.docker.com/go/dockerfile/rule/{}/", self.told().1)
    }

    /// Returns what it asks for, in one sentence.
    pub const fn description(self) -> &'static str {
        self.told().2
    }

    /// Tells whether it holds only where it is asked for.
    pub const fn is_experimental(self) -> bool {
        matches!(self, Self::CopyIgnoredFile | Self::InvalidDefinitionDescription)
    }

    const fn told(self) -> Told {
        match self {
            Self::StageNameCasing => (
                "StageNameCasing",
                "stage-name-casing",
                "Stage names should be lowercase",
            ),
            Self::FromAsCasing => (
                "FromAsCasing",
                "from-as-casing",
                "The 'as' keyword should match the case of the 'from' keyword",
            ),
            Self::NoEmptyContinuation => (
                "NoEmptyContinuation",
                "no-empty-continuation",
                "Empty continuation lines will become errors in a future release",
            ),
            Self::ConsistentInstructionCasing => (
                "ConsistentInstructionCasing",
                "consistent-instruction-casing",
                "All commands within the Dockerfile should use the same casing (either upper or lower)",
            ),
            Self::DuplicateStageName => (
                "DuplicateStageName",
                "duplicate-stage-name",
                "Stage names should be unique",
            ),
            Self::ReservedStageName => (
                "ReservedStageName",
                "reserved-stage-name",
                "Reserved words should not be used as stage names",
            ),
            Self::JsonArgsRecommended => (
                "JSONArgsRecommended",
                "json-args-recommended",
                "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
            ),
            Self::MaintainerDeprecated => (
                "MaintainerDeprecated",
                "maintainer-deprecated",
                "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
            ),
            Self::UndefinedArgInFrom => (
                "UndefinedArgInFrom",
                "undefined-arg-in-from",
                "FROM command must use declared ARGs",
            ),
            Self::WorkdirRelativePath => (
                "WorkdirRelativePath",
                "workdir-relative-path",
                "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes",
            ),
            Self::UndefinedVar => (
                "UndefinedVar",
                "undefined-var",
                "Variables should be defined before their use",
            ),
            Self::MultipleInstructionsDisallowed => (
                "MultipleInstructionsDisallowed",
                "multiple-instructions-disallowed",
                "Multiple instructions of the same type should not be used in the same stage",
            ),
            Self::LegacyKeyValueFormat => (
                "LegacyKeyValueFormat",
                "legacy-key-value-format",
                "Legacy key/value format with whitespace separator should not be used",
            ),
            Self::RedundantTargetPlatform => (
                "RedundantTargetPlatform",
                "redundant-target-platform",
                "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
            ),
            Self::SecretsUsedInArgOrEnv => (
                "SecretsUsedInArgOrEnv",
                "secrets-used-in-arg-or-env",
                "Sensitive data should not be used in the ARG or ENV commands",
            ),
            Self::InvalidDefaultArgInFrom => (
                "InvalidDefaultArgInFrom",
                "invalid-default-arg-in-from",
                "Default value for global ARG results in an empty or invalid base image name",
            ),
            Self::FromPlatformFlagConstDisallowed => (
                "FromPlatformFlagConstDisallowed",
                "from-platform-flag-const-disallowed",
                "FROM --platform flag should not use a constant value",
            ),
            Self::CopyIgnoredFile => (
                "CopyIgnoredFile",
                "copy-ignored-file",
                "Attempting to Copy file that is excluded by .dockerignore",
            ),
            Self::InvalidDefinitionDescription => (
                "InvalidDefinitionDescription",
                "invalid-definition-description",
                "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.",
            ),
            Self::ExposeProtoCasing => (
                "ExposeProtoCasing",
                "expose-proto-casing",
                "Protocol in EXPOSE instruction should be lowercase",
            ),
            Self::ExposeInvalidFormat => (
                "ExposeInvalidFormat",
                "expose-invalid-format",
                "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release",
            ),
        }
    }
}

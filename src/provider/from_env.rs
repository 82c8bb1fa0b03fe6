//! The providers that the environment names.

use super::{Provider, parse};
use crate::Error;
use crate::env::EnvSource;

impl Provider {
    /// [`Provider::openai`] as the environment has it: see the [module](super).
    ///
    /// # Errors
    ///
    /// If a variable cannot be read or its value cannot be used; the error names the variable.
    pub fn from_env(env: &(impl EnvSource + ?Sized)) -> Result<Self, Error> {
        let mut provider = match env.non_blank("OPENAI_BASE_URL")? {
            Some(base_url) => Self::of("OpenAI", parse("`OPENAI_BASE_URL`", &base_url)?),
            None => Self::openai(),
        };
        for (header, variables) in [
            ("openai-organization", ["OPENAI_ORG_ID", "OPENAI_ORGANIZATION"]),
            ("openai-project", ["OPENAI_PROJECT_ID", "OPENAI_PROJECT"]),
        ] {
            for variable in variables {
                if let Some(value) = env.non_blank(variable)? {
                    provider = provider.header(header, value).map_err(|error| {
                        Error::build(format!("`{variable}` cannot be sent")).with_source(error)
                    })?;
                    break;
                }
            }
        }
        Ok(provider)
    }

    /// [`Provider::azure`] from `AZURE_OPENAI_ENDPOINT` and `OPENAI_API_VERSION`.
    ///
    /// # Errors
    ///
    /// If one of them is unset, blank or unusable; the error names it.
    pub fn azure_from_env(env: &(impl EnvSource + ?Sized)) -> Result<Self, Error> {
        let required = |variable: &str| {
            env.non_blank(variable)?
                .ok_or_else(|| Error::build(format!("`{variable}` is not set; Azure needs it")))
        };
        let endpoint = required("AZURE_OPENAI_ENDPOINT")?;
        let api_version = required("OPENAI_API_VERSION")?;
        parse("`AZURE_OPENAI_ENDPOINT`", &endpoint)?;
        Self::azure(&endpoint, &api_version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides() {
        let none: [(&str, &str); 0] = [];
        let provider = Provider::from_env(&none).unwrap();
        assert_eq!(provider.base_url(), "https://api.openai.com/v1");
        assert!(provider.headers().is_empty());

        let env = [
            ("OPENAI_BASE_URL", "http://localhost:1234/v1/\n"),
            ("OPENAI_ORG_ID", " "),
            ("OPENAI_ORGANIZATION", "org-1"),
            ("OPENAI_PROJECT_ID", "proj-1"),
            ("OPENAI_PROJECT", "proj-2"),
            ("AZURE_OPENAI_ENDPOINT", "https://r.openai.azure.com"),
        ];
        let provider = Provider::from_env(&env).unwrap();
        assert_eq!(provider.base_url(), "http://localhost:1234/v1");
        assert_eq!(provider.headers()["openai-organization"], "org-1");
        assert_eq!(provider.headers()["openai-project"], "proj-1");
        assert_eq!(provider.headers().len(), 2);

        let error = Provider::azure_from_env(&env).unwrap_err();
        assert!(error.to_string().contains("OPENAI_API_VERSION"), "{error}");
        let error = Provider::from_env(&[("OPENAI_BASE_URL", "https://u:hunter2@x")]).unwrap_err();
        assert!(error.to_string().contains("OPENAI_BASE_URL"), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        let error = Provider::from_env(&[("OPENAI_PROJECT", "a\u{7}b")]).unwrap_err();
        assert!(error.to_string().contains("OPENAI_PROJECT"), "{error}");
    }
}

//! What the variables of OpenTelemetry's specification say.

use std::time::Duration;

use crate::config::{Config, Otlp, Sampling};

/// Reads a variable; one that is empty is not set.
type Get<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The environment of this process.
pub(crate) fn of_this_process(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Config {
    /// What the environment says in place of what was set, for whoever deploys a service sets it. Gives
    /// what makes no sense in it, which is left out.
    pub(crate) fn heed(&mut self, get: Get<'_>) -> Vec<String> {
        let get = |name: &str| get(name).filter(|value| !value.trim().is_empty());
        let mut problems = Vec::new();
        if let Some(list) = get("OTEL_RESOURCE_ATTRIBUTES") {
            self.heed_resource(&list, &mut problems);
        }
        if let Some(name) = get("OTEL_SERVICE_NAME") {
            self.service_name = name;
        }
        if cfg!(feature = "otlp") {
            self.heed_export(&get, &mut problems);
        }
        if get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            self.otlp = None;
        }
        problems
    }

    fn heed_resource(&mut self, list: &str, problems: &mut Vec<String>) {
        for entry in list.split(',').filter(|entry| !entry.trim().is_empty()) {
            let pair = entry.split_once('=').and_then(|(key, value)| {
                let (key, value) = (key.trim(), decoded(value.trim())?);
                (!key.is_empty()).then_some((key, value))
            });
            match pair {
                Some(("service.name", name)) => self.service_name = name,
                Some((key, value)) => self.set_attribute(key, value),
                None => {
                    problems.push("OTEL_RESOURCE_ATTRIBUTES: an entry is not key=value".to_owned());
                }
            }
        }
    }

    fn heed_export(&mut self, get: Get<'_>, problems: &mut Vec<String>) {
        let endpoint = get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        if let Some(endpoint) = endpoint.or_else(|| get("OTEL_EXPORTER_OTLP_ENDPOINT")) {
            self.otlp_mut().endpoint = endpoint;
        }
        let Some(otlp) = &mut self.otlp else {
            return;
        };
        let timeout = get("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT");
        if let Some(millis) = timeout.or_else(|| get("OTEL_EXPORTER_OTLP_TIMEOUT")) {
            match millis.trim().parse() {
                Ok(millis) => otlp.timeout = Duration::from_millis(millis),
                Err(_) => problems.push(format!(
                    "OTEL_EXPORTER_OTLP_TIMEOUT: {millis:?}, expected milliseconds"
                )),
            }
        }
        if let Some(name) = get("OTEL_TRACES_SAMPLER") {
            otlp.heed_sampler(name.trim(), get("OTEL_TRACES_SAMPLER_ARG"), problems);
        }
    }
}

impl Otlp {
    fn heed_sampler(&mut self, name: &str, arg: Option<String>, problems: &mut Vec<String>) {
        let (parent_based, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, name),
        };
        let ratio = match root {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => share(arg, problems),
            _ => {
                problems.push(format!(
                    "OTEL_TRACES_SAMPLER: {name:?}, expected always_on, always_off or traceidratio, \
                     or one of them after parentbased_"
                ));
                return;
            }
        };
        self.sampling = Sampling {
            ratio,
            parent_based,
        };
    }
}

/// A share; all where none is given, or none that makes sense.
fn share(arg: Option<String>, problems: &mut Vec<String>) -> f64 {
    let Some(arg) = arg else { return 1.0 };
    match arg.trim().parse() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => ratio,
        _ => {
            problems.push(format!(
                "OTEL_TRACES_SAMPLER_ARG: {arg:?}, expected a share from 0 to 1"
            ));
            1.0
        }
    }
}

/// `value` with its `%` escapes read; `None` if they are none, or do not make UTF-8.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heeding(variables: &[(&str, &str)]) -> (Config, Vec<String>) {
        let mut config = Config::new("coded").version("1");
        let get = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name)?;
            Some(found.1.to_owned())
        };
        let problems = config.heed(&get);
        (config, problems)
    }

    #[test]
    fn what_is_not_set_or_empty_changes_nothing() {
        let (config, problems) = heeding(&[("OTEL_SERVICE_NAME", ""), ("OTEL_SDK_DISABLED", "no")]);
        assert_eq!(config.service_name, "coded");
        assert!(config.otlp.is_none() && problems.is_empty());
    }

    #[test]
    fn who_deploys_names_the_service_and_adds_to_the_resource() {
        let (config, problems) = heeding(&[
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "service.name=listed,service.version=2, deployment.environment.name=a%2Cb,broken",
            ),
            ("OTEL_SERVICE_NAME", "named"),
        ]);
        assert_eq!(config.service_name, "named");
        let resource = config.resource();
        let value = |key: &str| {
            let mut found = resource.iter().filter(|(name, _)| name == key);
            let value = found.next().map(|(_, value)| value.clone());
            assert!(found.next().is_none());
            value
        };
        assert_eq!(value("service.name").as_deref(), Some("named"));
        assert_eq!(value("service.version").as_deref(), Some("2"));
        assert_eq!(value("deployment.environment.name").as_deref(), Some("a,b"));
        assert!(value("service.instance.id").is_some());
        assert_eq!(problems.len(), 1);
    }

    #[cfg(feature = "otlp")]
    #[test]
    fn the_environment_chooses_collector_and_sampler() {
        let (config, problems) = heeding(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4317"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4317"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ]);
        let otlp = config.otlp.unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(otlp.endpoint, "http://traces:4317");
        assert_eq!(otlp.timeout, Duration::from_millis(250));
        let sampling = otlp.sampling;
        assert!(!sampling.parent_based && (sampling.ratio - 0.25).abs() < 1e-12);
    }

    #[cfg(feature = "otlp")]
    #[test]
    fn what_makes_no_sense_is_said_and_left_out() {
        let (config, problems) = heeding(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4317"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "3s"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
        ]);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(config.otlp.unwrap().sampling.parent_based);
    }

    #[cfg(feature = "otlp")]
    #[test]
    fn an_export_that_is_disabled_is_none() {
        let (config, _) = heeding(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4317"),
            ("OTEL_SDK_DISABLED", "true"),
        ]);
        assert!(config.otlp.is_none());
    }
}

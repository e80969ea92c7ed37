//! What the admin service shows, and to whom.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use buttress_health::HealthHandle;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

use crate::hosts::Hosts;
use crate::service::AdminService;
use crate::settings::{Change, Setting};

pub(crate) type Metrics = Box<dyn Fn(&HeaderMap) -> (&'static str, Bytes) + Send + Sync>;
pub(crate) type Section = Box<dyn Fn() -> Value + Send + Sync>;
pub(crate) type Listed = Box<dyn Fn() -> Vec<Setting> + Send + Sync>;

/// Gathers what the admin service shows.
#[must_use = "nothing is served before `build`"]
pub struct Admin {
    pub(crate) metrics: Option<Metrics>,
    pub(crate) health: Option<HealthHandle>,
    pub(crate) sections: Vec<(String, Section)>,
    pub(crate) settings: Vec<Arc<Setting>>,
    pub(crate) listed: Vec<Listed>,
    pub(crate) hosts: Hosts,
}

impl Admin {
    /// A service that shows nothing yet and answers to the names of loopback.
    pub fn new() -> Self {
        Self {
            metrics: None,
            health: None,
            sections: Vec::new(),
            settings: Vec::new(),
            listed: Vec::new(),
            hosts: Hosts::default(),
        }
    }

    /// Serves at `/metrics` what `render` gives to who sent these headers: a content type and a page,
    /// in the form that their `Accept` asks for if there are several.
    pub fn metrics<F, B>(mut self, render: F) -> Self
    where
        F: Fn(&HeaderMap) -> (&'static str, B) + Send + Sync + 'static,
        B: Into<Bytes>,
    {
        self.metrics = Some(Box::new(move |headers| {
            let (content_type, page) = render(headers);
            (content_type, page.into())
        }));
        self
    }

    /// Serves the paths under `/health` from `handle`.
    pub fn health(mut self, handle: HealthHandle) -> Self {
        self.health = Some(handle);
        self
    }

    /// Shows what `section` gives under `name` at `/status`. Of two of one name the later is shown.
    pub fn status<F>(mut self, name: impl Into<String>, section: F) -> Self
    where
        F: Fn() -> Value + Send + Sync + 'static,
    {
        self.sections.push((name.into(), Box::new(section)));
        self
    }

    /// Lets `name` be read and changed at `/settings/NAME`: `read` says what it is, `write` changes it, or
    /// says why it does not and leaves it as it is. Whoever can connect can change it; a web page that an
    /// operator visits cannot. Of two of one name the later counts.
    pub fn setting<R, W>(mut self, name: impl Into<String>, read: R, write: W) -> Self
    where
        R: Fn() -> String + Send + Sync + 'static,
        W: Fn(&Change) -> Result<(), String> + Send + Sync + 'static,
    {
        self.settings
            .push(Arc::new(Setting::new(name, read, write)));
        self
    }

    /// Lets those be read and changed that `list` gives: it is asked at each request for a setting, for what comes and
    /// goes. Of two of one name one given to [`Admin::setting`] counts.
    pub fn settings<F>(mut self, list: F) -> Self
    where
        F: Fn() -> Vec<Setting> + Send + Sync + 'static,
    {
        self.listed.push(Box::new(list));
        self
    }

    /// Answers requests for `host` as well: a name or an address, without a port.
    pub fn allow_host(mut self, host: impl Into<String>) -> Self {
        self.hosts.allow(host.into());
        self
    }

    /// Tells where the listener is bound. Beyond loopback the service cannot know by which names it
    /// is called, and answers to any, unless hosts are allowed by name.
    pub fn bound_to(mut self, address: SocketAddr) -> Self {
        self.hosts.bound_to(address);
        self
    }

    /// Answers to any host. On loopback this lets a web page that the operator visits read the admin
    /// service, by a name of its own that resolves to 127.0.0.1.
    pub fn any_host(mut self) -> Self {
        self.hosts.allow_any();
        self
    }

    /// The service.
    pub fn build(self) -> AdminService {
        AdminService::new(Arc::new(self))
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sections: Vec<_> = self.sections.iter().map(|(name, _)| name).collect();
        f.debug_struct("Admin")
            .field("metrics", &self.metrics.is_some())
            .field("health", &self.health)
            .field("sections", &sections)
            .field("settings", &self.settings)
            .field("listed", &self.listed.len())
            .field("hosts", &self.hosts)
            .finish()
    }
}

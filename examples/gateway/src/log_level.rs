//! The level of the log, changed while the gateway runs.

use buttress::admin::{Admin, Change};
use buttress::core::verdict::By;
use buttress::telemetry::LogHandle;
use buttress::telemetry::audit::{Audit, Kind, Record};

use crate::telemetry;

/// The name of the setting.
const NAME: &str = "log.filter";

/// Changes which lines are written, and records who did.
#[derive(Clone, Debug)]
pub struct LogLevel {
    /// What changes it.
    pub logs: LogHandle,
    /// Whether access lines are written, whatever the level is.
    pub access_log: bool,
    /// Where changes are recorded.
    pub audit: Option<Audit>,
}

impl LogLevel {
    /// Lets it be changed by `admin`.
    pub fn offered_by(self, admin: Admin) -> Admin {
        let logs = self.logs.clone();
        admin.setting(NAME, move || logs.filter(), move |change| self.set(change))
    }

    fn set(&self, change: &Change) -> Result<(), String> {
        let directives = telemetry::filter(&change.value, self.access_log);
        let who = change
            .peer
            .map_or_else(String::new, |peer| peer.to_string());
        let logs = self.logs.on_behalf_of(By::new(&who, &change.why));
        let set = logs.set_filter(&directives);
        let before = set.map_err(|error| error.to_string())?;
        if let Some(audit) = &self.audit {
            let record = Record::new(Kind::Configuration, NAME).who(who);
            audit.record(record.why(change.why.as_str()).change(before, directives));
        }
        Ok(())
    }
}

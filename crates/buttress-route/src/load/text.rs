//! The `TEXT` form: `name=value`, parted by commas.

use super::report::{LoadReport, Malformed, number};

/// Reads what stands behind the form's name.
pub(super) fn read(metrics: &str) -> Result<LoadReport, Malformed> {
    let mut report = LoadReport::default();
    if metrics.is_empty() {
        return Ok(report);
    }
    for metric in metrics.split(',') {
        let (name, value) = metric.split_once('=').ok_or(Malformed::Syntax)?;
        let name = name.trim();
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Malformed::Syntax);
        }
        report.take(name, number(value.trim())?)?;
    }
    Ok(report)
}

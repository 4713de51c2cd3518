//! Logs for operators: to stderr, and only where they were asked for.
//!
//! Without a subscriber nothing is logged at all, so that a library's own opinion of what is an
//! error (delta-rs logs every conflict as one) never stands beside our message.

use tracing_subscriber::EnvFilter;

use crate::settings::Settings;

/// Sends events to stderr as the settings say.
pub(crate) fn init(settings: &Settings) {
    let Some(filter) = &settings.log else { return };
    let filter = EnvFilter::builder().parse_lossy(filter);
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    // A second call finds the first one's subscriber and leaves it.
    let _ = subscriber.try_init();
}

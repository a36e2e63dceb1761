//! The agent of launchd: <https://www.manpagez.com/man/5/launchd.plist/>.
//!
//! * It is started again after a crash; an exit with an error counts as one, at most every ten seconds.

use crate::cli::service::definition::ServiceDefinition;
use crate::cli::service::stamp::MARK;
use crate::cli::service::xml::escaped;

/// Renders the property list.
pub(super) fn agent(definition: &ServiceDefinition) -> String {
    let words = [definition.program.as_str(), "serve"].into_iter().chain(definition.flags.iter().map(String::as_str));
    let words: String = words.map(|word| format!("    <string>{}</string>\n", escaped(word))).collect();
    let variables = definition
        .variables
        .iter()
        .map(|(name, value)| format!("    <key>{}</key>\n    <string>{}</string>\n", escaped(name), escaped(value)));
    let variables: String = variables.collect();
    let log = escaped(&definition.log);
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- {MARK} -->
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>{LABEL}</string>
  <key>ProgramArguments</key>
  <array>
{words}  </array>
  <key>EnvironmentVariables</key>
  <dict>
{variables}  </dict>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ThrottleInterval</key>
  <integer>10</integer>
  <key>ExitTimeOut</key>
  <integer>60</integer>
  <key>ProcessType</key>
  <string>Interactive</string>
  <key>Umask</key>
  <integer>63</integer>
  <key>StandardOutPath</key>
  <string>/dev/null</string>
  <key>StandardErrorPath</key>
  <string>{log}</string>
</dict>
</plist>
"#
    )
}

/// The agent's name.
pub(super) const LABEL: &str = "codex-proxy";

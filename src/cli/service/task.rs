//! The task of Windows, started when its user logs in:
//! <https://learn.microsoft.com/windows/win32/taskschd/task-scheduler-schema>.
//!
//! * It runs with the user's own rights, without a window (`conhost --headless`), and is started again after a failure.
//! * The log goes to a file, which a command line of `cmd` opens.

use crate::cli::service::definition::ServiceDefinition;
use crate::cli::service::stamp::MARK;
use crate::cli::service::xml::escaped;

/// Renders the task. The schema has its elements in this order.
pub(super) fn task(definition: &ServiceDefinition) -> String {
    let arguments = escaped(&arguments(definition));
    format!(
        r#"<?xml version="1.0" encoding="UTF-16"?>
<!-- {MARK} -->
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>codex-proxy: OpenAI's and Anthropic's APIs on a ChatGPT plan</Description>
  </RegistrationInfo>
  <Triggers>
    <LogonTrigger>
      <Enabled>true</Enabled>
    </LogonTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <LogonType>InteractiveToken</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <RestartOnFailure>
      <Interval>PT1M</Interval>
      <Count>10</Count>
    </RestartOnFailure>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>conhost.exe</Command>
      <Arguments>{arguments}</Arguments>
    </Exec>
  </Actions>
</Task>
"#
    )
}

fn arguments(definition: &ServiceDefinition) -> String {
    let set = definition.variables.iter().map(|(name, value)| format!("set \"{name}={value}\"&& "));
    let set: String = set.collect();
    let words = [definition.program.as_str(), "serve"].into_iter().chain(definition.flags.iter().map(String::as_str));
    let words: Vec<_> = words.map(|word| format!("\"{word}\"")).collect();
    // `cmd /s` takes away the outer quotes alone.
    format!("--headless cmd.exe /s /c \"{set}{} >nul 2>>\"{}\"\"", words.join(" "), definition.log)
}

/// The task's name.
pub(super) const NAME: &str = "codex-proxy";

//! What the commands have in common: how they begin and how they end.

use std::process::ExitCode;

use tower_openai::BoxError;

use crate::failure::Failure;

/// Reads the arguments, runs the command with them, and says on stderr what went wrong. Without
/// arguments all that was asked for has been said.
pub(crate) async fn command<Arguments>(
    name: &str,
    arguments: Result<Option<Arguments>, BoxError>,
    run: impl AsyncFnOnce(Arguments) -> Result<(), Failure>,
) -> ExitCode {
    let arguments = match arguments {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{name}: {problem}");
            eprintln!("try `{name} --help`");
            return ExitCode::from(2);
        }
    };
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(name),
    }
}

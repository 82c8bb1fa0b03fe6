//! The command line, and the environment behind it.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Read, Write};
use std::time::Duration;

use lexopt::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json};
use tower_openai::BoxError;
use tower_openai::client::Policy;
use tower_openai::extensions::StreamTimeouts;
use tower_openai::layers::retry::RetrySettings;
use tower_openai::services::{Compression, ResponsesRequest};

use crate::connection::Connection;
use crate::lines::read_body;

const MODEL: &str = "gpt-5.2";

/// What differs between the commands that take these arguments.
pub(crate) struct Usage {
    pub(crate) name: &'static str,
    /// The first line of the help text.
    pub(crate) about: &'static str,
    /// Flags of its own, without values, each with its lines of help.
    pub(crate) switches: &'static [(&'static str, &'static str)],
}

const HELP: &str =
    "  --base-url URL            the API, version path included   [env: OPENAI_BASE_URL]
  --api-key KEY             the key                          [env: OPENAI_API_KEY]
  --model M                 the model                        [default: gpt-5.2]
  --body FILE|-             the request's JSON, sent as it is with \"stream\": true;
                            (of a repeated key the last one counts);
                            --model and PROMPT replace its model and input
  --header 'K: V'           a further header; may be repeated
  --compression zstd|gzip   compress the request
  --max-retries N           how often a failed attempt is followed by another; 0 is
                            never                            [default: 2]
                            Some 35 in a row, or 100 after 429, are the most: the
                            client has a budget
  --retry-429               try again after 429; that is the default
  --no-retry-429            do not
  --head-timeout-ms N       the longest wait for the response's head; 0 is off
  --idle-timeout-ms N       the longest wait between two bytes; 0 is off
  --progress-timeout-ms N   the longest wait between two events; 0 is off
  --total-timeout-ms N      the longest that the whole call may take; 0 is off
  --policy FILE             retries, timeouts and limits as JSON, such as
                            {\"responses\": {\"retry\": {\"max_retries\": 4},
                            \"timeouts\": {\"idle_ms\": 60000}}}; the flags beat it
  --lenient                 skip events that cannot be decoded
  --events                  one JSON object per event and line in place of the text,
                            with a client.attempt for each attempt and a client.retry
                            before each wait
  -h, --help                this text

Flags beat the environment; an empty variable counts as unset. A key without a
base URL goes to https://api.openai.com/v1; with neither, an embedded server
answers. Without PROMPT and body the prompt is read from stdin. Once an answer has
begun, nothing is tried again.

exit code: 0 completed, 1 failed, 2 wrong usage";

#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) connection: Connection,
    pub(crate) lenient: bool,
    pub(crate) events: bool,
    model: Option<String>,
    body: Option<OsString>,
    compression: Compression,
    timeouts: StreamTimeouts,
    retry: RetrySettings,
    policy: Option<OsString>,
    prompt: Vec<String>,
    pub(crate) switches: Vec<&'static str>,
}

impl Usage {
    fn help(&self) -> String {
        let Self { name, about, switches } = self;
        let mut text = format!("{about}\n\nusage: {name} [OPTIONS] [PROMPT...]\n\n");
        for (switch, about) in *switches {
            text.push_str(&format!("  --{switch:<23} {about}\n"));
        }
        text + HELP
    }

    fn switch(&self, flag: &str) -> Option<&'static str> {
        self.switches.iter().map(|(switch, _)| *switch).find(|switch| *switch == flag)
    }
}

impl Arguments {
    /// The arguments of this process; `None` if all that was asked for has been said.
    pub(crate) fn parse(usage: &Usage) -> Result<Option<Self>, BoxError> {
        let mut arguments = Self::default();
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long(flag) if Connection::has(flag) => {
                    let flag = flag.to_owned();
                    arguments.connection.set(&flag, &mut parser)?;
                }
                Long("model") => arguments.model = Some(parser.value()?.string()?),
                Long("body") => arguments.body = Some(parser.value()?),
                Long("head-timeout-ms") => {
                    arguments.timeout(&mut parser, "head", StreamTimeouts::head)?;
                }
                Long("idle-timeout-ms") => {
                    arguments.timeout(&mut parser, "idle", StreamTimeouts::idle)?;
                }
                Long("compression") => {
                    arguments.compression = match parser.value()?.string()?.as_str() {
                        "zstd" => Compression::Zstd,
                        "gzip" => Compression::Gzip,
                        other => {
                            let problem =
                                format!("--compression takes zstd or gzip, not {other:?}");
                            return Err(problem.into());
                        }
                    };
                }
                Long("progress-timeout-ms") => {
                    arguments.timeout(&mut parser, "progress", StreamTimeouts::progress)?;
                }
                Long("total-timeout-ms") => {
                    arguments.timeout(&mut parser, "total", StreamTimeouts::total)?;
                }
                Long("max-retries") => {
                    let value = parser.value()?.string()?;
                    let retries = value.parse().map_err(|_| {
                        format!("--max-retries takes a whole number, not {value:?}")
                    })?;
                    arguments.retry.max_retries = Some(retries);
                }
                Long("retry-429") => arguments.retry.retry_429 = Some(true),
                Long("no-retry-429") => arguments.retry.retry_429 = Some(false),
                Long("policy") => arguments.policy = Some(parser.value()?),
                Long("lenient") => arguments.lenient = true,
                Long("events") => arguments.events = true,
                Long("help") | Short('h') => {
                    // A reader that has seen enough is no error.
                    let _ = writeln!(io::stdout(), "{}", usage.help());
                    return Ok(None);
                }
                Long(flag) => match usage.switch(flag) {
                    Some(switch) => arguments.switches.push(switch),
                    None => return Err(Long(flag).unexpected().into()),
                },
                Value(word) => arguments.prompt.push(word.string()?),
                other @ Short(_) => return Err(other.unexpected().into()),
            }
        }
        arguments.connection.look_around()?;
        Ok(Some(arguments))
    }

    /// Sets the limit of the clock whose flag was read last.
    fn timeout(
        &mut self,
        parser: &mut lexopt::Parser,
        clock: &str,
        set: fn(StreamTimeouts, Duration) -> StreamTimeouts,
    ) -> Result<(), BoxError> {
        let value = parser.value()?.string()?;
        let milliseconds = value
            .parse()
            .map_err(|_| format!("--{clock}-timeout-ms takes whole milliseconds, not {value:?}"))?;
        self.timeouts = set(self.timeouts, Duration::from_millis(milliseconds));
        Ok(())
    }

    /// What the flags say, and where they say nothing the policy file.
    pub(crate) fn policy(&self) -> Result<Policy, BoxError> {
        let mut policy = match &self.policy {
            Some(path) => {
                read_policy(path).map_err(|problem| format!("the policy {path:?}: {problem}"))?
            }
            None => Policy::default(),
        };
        for own in [&mut policy.responses, &mut policy.responses_socket] {
            own.retry = self.retry.or(own.retry);
            own.timeouts = self.timeouts.or(own.timeouts);
        }
        Ok(policy)
    }

    /// The request that is asked for; reads the body or the prompt where they are.
    pub(crate) fn request(&self) -> Result<ResponsesRequest, BoxError> {
        let prompt = (!self.prompt.is_empty()).then(|| self.prompt.join(" "));
        let mut request = match &self.body {
            Some(path) => {
                let text = read_body(path)?;
                let json: &RawValue = serde_json::from_str(&text)
                    .map_err(|error| format!("the body {path:?} is not JSON: {error}"))?;
                let mut request = ResponsesRequest::from_body(json)?;
                if let Some(model) = &self.model {
                    request = request.model(model);
                }
                if let Some(prompt) = prompt {
                    request = request.set("input", &prompt);
                }
                request
            }
            None => {
                let model = self.model.as_deref().unwrap_or(MODEL);
                ResponsesRequest::new(model, prompt.map_or_else(prompt_from_stdin, Ok)?)
            }
        };
        request.options_mut().extra_headers = self.connection.headers.clone();
        Ok(request.compression(self.compression))
    }
}

fn read_policy(path: &OsString) -> Result<Policy, BoxError> {
    let text = std::fs::read_to_string(path)?;
    // First as an object: serde would take an array for the fields in their order.
    serde_json::from_str::<Map<String, Json>>(&text)?;
    let policy: Policy = serde_json::from_str(&text)?;
    for (endpoint, retry) in [
        ("default", policy.default.retry),
        ("responses", policy.responses().retry),
        ("responses_socket", policy.responses_socket().retry),
    ] {
        if let Err(problem) = retry.policy() {
            return Err(format!("`retry` of `{endpoint}`: {problem}").into());
        }
    }
    Ok(policy)
}

fn prompt_from_stdin() -> Result<String, BoxError> {
    let mut prompt = String::new();
    if !io::stdin().is_terminal() {
        io::stdin().read_to_string(&mut prompt)?;
    }
    match prompt.trim() {
        "" => Err("there is no prompt: give one as an argument, on stdin, or in a body".into()),
        prompt => Ok(prompt.to_owned()),
    }
}

//! The command line.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};

use lexopt::prelude::*;
use tower_openai::BoxError;

use crate::commands::{COMMANDS, Command};
use crate::connection::Connection;

const HELP: &str = "\
Sends one request to an endpoint and prints its answer as JSON.

usage: endpoints [OPTIONS] COMMAND

";

const OPTIONS: &str = "
  --base-url URL            the API, version path included   [env: OPENAI_BASE_URL]
  --api-key KEY             the key                          [env: OPENAI_API_KEY]
  --header 'K: V'           a further header; may be repeated
  --body FILE|-             the request's JSON; - is stdin
  -h, --help                this text

Flags beat the environment; an empty variable counts as unset. A key without a
base URL goes to https://api.openai.com/v1; with neither, an embedded server
answers. An error is printed as JSON too, as an object of type client.error.

exit code: 0 answered, 1 failed, 2 wrong usage";

pub(crate) struct Arguments {
    pub(crate) connection: Connection,
    pub(crate) command: &'static Command,
    pub(crate) operand: Option<OsString>,
    /// Those that only some commands have, by their name.
    pub(crate) flags: BTreeMap<&'static str, OsString>,
}

impl Arguments {
    /// The arguments of this process; `None` if all that was asked for has been said.
    pub(crate) fn parse() -> Result<Option<Self>, BoxError> {
        let mut connection = Connection::default();
        let mut flags = BTreeMap::new();
        let mut words = Vec::new();
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("help") | Short('h') => {
                    // A reader that has seen enough is no error.
                    let _ = io::stdout().write_all(help().as_bytes());
                    return Ok(None);
                }
                Long(flag) if Connection::has(flag) => {
                    let flag = flag.to_owned();
                    connection.set(&flag, &mut parser)?;
                }
                Long(flag) => match COMMANDS.iter().find_map(|command| command.flag(flag)) {
                    Some(flag) => drop(flags.insert(flag, parser.value()?)),
                    None => return Err(Long(flag).unexpected().into()),
                },
                Value(word) => words.push(word),
                other @ Short(_) => return Err(other.unexpected().into()),
            }
        }
        let mut words = words.into_iter();
        let name = words.next().ok_or("there is no command")?;
        let command = COMMANDS.iter().find(|command| name == command.name).ok_or_else(|| {
            let names: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
            format!("{name:?} is no command: there are {}", names.join(", "))
        })?;
        let operand = command.operand.and_then(|_| words.next());
        if let (Some(what), None) = (command.operand, &operand) {
            return Err(format!("`{}` takes one more word: {what}", command.name).into());
        }
        if let Some(word) = words.next() {
            return Err(format!("`{}` takes no {word:?}", command.name).into());
        }
        if let Some(flag) = flags.keys().find(|flag| command.flag(flag).is_none()) {
            return Err(format!("`{}` has no --{flag}", command.name).into());
        }
        connection.look_around()?;
        Ok(Some(Self { connection, command, operand, flags }))
    }
}

fn help() -> String {
    let mut text = HELP.to_owned();
    for Command { name, operand, about, .. } in COMMANDS {
        let words = [*name, operand.unwrap_or_default()].join(" ");
        text.push_str(&format!("  {words:<25} {about}\n"));
    }
    text.push_str(OPTIONS);
    text.push('\n');
    text
}

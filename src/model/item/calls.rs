//! Calls that the application carries out, and their outputs.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::macros::{open_enum, tagged_enum, wire_struct};
use crate::model::{Content, ContentPart, ItemStatus, RawJson};

wire_struct! {
    /// A call of a function tool.
    #[derive(Default)]
    pub struct FunctionCall {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// The function.
        required name: String,
        /// The group of tools that the function belongs to.
        optional namespace: Option<String>,
        /// The arguments as the model wrote them: JSON text, not always well-formed.
        required arguments: String,
        /// To be repeated by the output.
        required call_id: String,
        /// Set by the server.
        optional status: Option<ItemStatus>,
        /// What called the function, when it was not the model itself.
        optional caller: Option<RawJson>,
    }
}

impl FunctionCall {
    /// Reads the arguments as a `T`.
    ///
    /// # Errors
    ///
    /// When the model wrote something else than the JSON of a `T`.
    pub fn parse_arguments<T: serde::de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.arguments)
    }
}

wire_struct! {
    /// The output of a function tool.
    #[derive(Default)]
    pub struct FunctionCallOutput {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// The call that this answers.
        optional call_id: Option<String>,
        /// The function.
        optional name: Option<String>,
        /// The group of tools that the function belongs to.
        optional namespace: Option<String>,
        /// What the model gets to see.
        required output: Content,
        /// Set by the server.
        optional status: Option<ItemStatus>,
        /// What called the function, when it was not the model itself.
        optional caller: Option<RawJson>,
    }
}

impl FunctionCallOutput {
    /// The answer to the call `call_id`.
    #[must_use]
    pub fn new(call_id: impl Into<String>, output: impl Into<Content>) -> Self {
        Self { call_id: Some(call_id.into()), output: output.into(), ..Default::default() }
    }
}

wire_struct! {
    /// A call of a custom tool, whose input is free text.
    #[derive(Default)]
    pub struct CustomToolCall {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// Set by the server.
        optional status: Option<ItemStatus>,
        /// To be repeated by the output.
        required call_id: String,
        /// The tool.
        required name: String,
        /// The group of tools that the tool belongs to.
        optional namespace: Option<String>,
        /// What the model wrote.
        required input: String,
        /// What called the tool, when it was not the model itself.
        optional caller: Option<RawJson>,
    }
}

wire_struct! {
    /// The output of a custom tool.
    #[derive(Default)]
    pub struct CustomToolCallOutput {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// The call that this answers.
        required call_id: String,
        /// The tool.
        optional name: Option<String>,
        /// What the model gets to see.
        required output: Content,
        /// Set by the server.
        optional status: Option<ItemStatus>,
        /// What called the tool, when it was not the model itself.
        optional caller: Option<RawJson>,
    }
}

impl CustomToolCallOutput {
    /// The answer to the call `call_id`.
    #[must_use]
    pub fn new(call_id: impl Into<String>, output: impl Into<Content>) -> Self {
        Self { call_id: call_id.into(), output: output.into(), ..Default::default() }
    }
}

open_enum! {
    /// Who carries out a tool search.
    pub enum ToolExecution {
        /// The application.
        Client = "client",
        /// The server.
        Server = "server",
    }
}

wire_struct! {
    /// A search for tools.
    pub struct ToolSearchCall {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// To be repeated by the output, when the application searches.
        nullable call_id: Option<String>,
        /// Set by the server.
        optional status: Option<ItemStatus>,
        /// Who searches.
        required execution: ToolExecution,
        /// What is searched for: any JSON.
        required arguments: RawJson,
    }
}

wire_struct! {
    /// The tools that a search found.
    pub struct ToolSearchOutput {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// The search that this answers.
        nullable call_id: Option<String>,
        /// How far the search is.
        required status: ItemStatus,
        /// Who searched.
        required execution: ToolExecution,
        /// The definitions found.
        required tools: Vec<RawJson>,
    }
}

wire_struct! {
    /// A command for the application's machine.
    pub struct LocalShellCall {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// To be repeated by the output.
        nullable call_id: Option<String>,
        /// How far the command is.
        required status: ItemStatus,
        /// The command.
        required action: LocalShellAction,
    }
}

tagged_enum! {
    /// What a local shell is to do.
    pub enum LocalShellAction {
        /// Run a program.
        Exec(Box<LocalShellExec>) = "exec",
    }
}

wire_struct! {
    /// A program to run.
    #[derive(Default)]
    pub struct LocalShellExec {
        /// The program and its arguments.
        required command: Vec<String>,
        /// After how many milliseconds to give up.
        nullable timeout_ms: Option<u64>,
        /// Where to run it.
        nullable working_directory: Option<String>,
        /// Environment variables to set.
        nullable env: Option<BTreeMap<String, String>>,
        /// As whom to run it.
        nullable user: Option<String>,
    }
}

wire_struct! {
    /// The output of a local shell.
    #[derive(Default)]
    pub struct LocalShellCallOutput {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// The call that this answers.
        optional call_id: Option<String>,
        /// What the model gets to see: JSON text.
        required output: String,
        /// Set by the server.
        optional status: Option<ItemStatus>,
    }
}

wire_struct! {
    /// Commands for a shell.
    #[derive(Default)]
    pub struct ShellCall {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// To be repeated by the output.
        required call_id: String,
        /// The commands.
        required action: ShellAction,
        /// Where they run.
        optional environment: Option<RawJson>,
        /// How far they are.
        optional status: Option<ItemStatus>,
    }
}

wire_struct! {
    /// The commands of a [`ShellCall`].
    #[derive(Default)]
    pub struct ShellAction {
        /// The commands, in order.
        always commands: Vec<String>,
        /// After how many milliseconds to give up.
        optional timeout_ms: Option<u64>,
        /// How many characters of output the model wants at most.
        optional max_output_length: Option<u64>,
    }
}

wire_struct! {
    /// The output of a [`ShellCall`].
    #[derive(Default)]
    pub struct ShellCallOutput {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// The call that this answers.
        required call_id: String,
        /// One entry per command.
        always output: Vec<ShellOutput>,
        /// The limit that was kept, in characters.
        optional max_output_length: Option<u64>,
        /// How far the commands are.
        optional status: Option<ItemStatus>,
    }
}

wire_struct! {
    /// What one command printed and how it ended.
    #[derive(Default)]
    pub struct ShellOutput {
        /// Standard output.
        always stdout: String,
        /// Standard error.
        always stderr: String,
        /// How it ended.
        optional outcome: Option<ShellOutcome>,
    }
}

tagged_enum! {
    /// How a command ended.
    pub enum ShellOutcome {
        /// By itself.
        Exit(ShellExit) = "exit",
        /// It was stopped at its time limit.
        Timeout(ShellTimeout) = "timeout",
    }
}

wire_struct! {
    /// A command that ended by itself.
    #[derive(Default)]
    pub struct ShellExit {
        /// Its exit code.
        required exit_code: i64,
    }
}

wire_struct! {
    /// A command that was stopped.
    #[derive(Default)]
    pub struct ShellTimeout {}
}

wire_struct! {
    /// A change to a file.
    pub struct ApplyPatchCall {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// To be repeated by the output.
        required call_id: String,
        /// The change.
        required operation: PatchOperation,
        /// How far it is.
        optional status: Option<ItemStatus>,
    }
}

tagged_enum! {
    /// A change to one file.
    pub enum PatchOperation {
        /// Make it.
        CreateFile(PatchFile) = "create_file",
        /// Remove it.
        DeleteFile(PatchFile) = "delete_file",
        /// Change it.
        UpdateFile(PatchFile) = "update_file",
    }
}

wire_struct! {
    /// The file of a change.
    #[derive(Default)]
    pub struct PatchFile {
        /// Where the file is.
        required path: String,
        /// The change; absent when the file is deleted.
        optional diff: Option<String>,
    }
}

wire_struct! {
    /// How a change to a file went.
    #[derive(Default)]
    pub struct ApplyPatchCallOutput {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// The call that this answers.
        required call_id: String,
        /// What the model gets to see.
        optional output: Option<String>,
        /// Completed or failed.
        optional status: Option<ItemStatus>,
    }
}

wire_struct! {
    /// An action on a computer.
    #[derive(Default)]
    pub struct ComputerCall {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// To be repeated by the output.
        required call_id: String,
        /// One action.
        optional action: Option<RawJson>,
        /// Several actions.
        optional actions: Option<Vec<RawJson>>,
        /// What the application must let a person confirm.
        always pending_safety_checks: Vec<SafetyCheck>,
        /// How far it is.
        optional status: Option<ItemStatus>,
    }
}

wire_struct! {
    /// Something a person must confirm.
    #[derive(Default)]
    pub struct SafetyCheck {
        /// The check.
        required id: String,
        /// What kind of check.
        optional code: Option<String>,
        /// For the person.
        optional message: Option<String>,
    }
}

wire_struct! {
    /// What the computer shows after an action.
    pub struct ComputerCallOutput {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// The call that this answers.
        required call_id: String,
        /// A screenshot.
        required output: ContentPart,
        /// What a person has confirmed.
        optional acknowledged_safety_checks: Option<Vec<SafetyCheck>>,
        /// How far it is.
        optional status: Option<ItemStatus>,
    }
}

wire_struct! {
    /// A program that the model wrote to call tools.
    #[derive(Default)]
    pub struct Program {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// To be repeated by the output.
        required call_id: String,
        /// The source text.
        always code: String,
        /// Identifies the program for the server.
        optional fingerprint: Option<String>,
    }
}

wire_struct! {
    /// The result of a [`Program`].
    #[derive(Default)]
    pub struct ProgramOutput {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// The call that this answers.
        required call_id: String,
        /// What the model gets to see.
        optional result: Option<RawJson>,
        /// How far it is.
        optional status: Option<ItemStatus>,
    }
}

//! [`ResponseItem`]: one element of a conversation, as input and as output.

mod calls;
mod hosted;
mod message;
#[cfg(test)]
mod tests;

pub use self::calls::*;
pub use self::hosted::*;
pub use self::message::*;

use super::Content;
use super::content::ContentPart;
use super::macros::{from_payloads, open_enum, tagged_enum};

open_enum! {
    /// How far an item is.
    pub enum ItemStatus {
        /// Being made.
        InProgress = "in_progress",
        /// Finished.
        Completed = "completed",
        /// Cut short.
        Incomplete = "incomplete",
        /// Looking something up.
        Searching = "searching",
        /// Drawing an image.
        Generating = "generating",
        /// Running code.
        Interpreting = "interpreting",
        /// Calling a tool.
        Calling = "calling",
        /// It did not work.
        Failed = "failed",
    }
}

tagged_enum! {
    /// One element of a conversation.
    ///
    /// Items read from a response can be sent back in the next request as they are. Items of a type
    /// that is not known here are kept whole, and so are members of known ones.
    ///
    /// ```
    /// use tower_openai::model::ResponseItem;
    ///
    /// let history = vec![
    ///     ResponseItem::user("What is the weather in Bern?"),
    ///     ResponseItem::function_call_output("call_1", "12 degrees, rain"),
    /// ];
    /// assert_eq!(history[0].as_message().unwrap().text(), "What is the weather in Bern?");
    /// ```
    pub enum ResponseItem {
        /// A message.
        Message(Box<Message>) = "message",
        /// A message between agents (Codex).
        AgentMessage(Box<AgentMessage>) = "agent_message",
        /// The model's reasoning.
        Reasoning(Box<ReasoningItem>) = "reasoning",
        /// A call of a function tool.
        FunctionCall(Box<FunctionCall>) = "function_call",
        /// The output of a function tool.
        FunctionCallOutput(Box<FunctionCallOutput>) = "function_call_output",
        /// A call of a custom tool.
        CustomToolCall(Box<CustomToolCall>) = "custom_tool_call",
        /// The output of a custom tool.
        CustomToolCallOutput(Box<CustomToolCallOutput>) = "custom_tool_call_output",
        /// A search for tools.
        ToolSearchCall(Box<ToolSearchCall>) = "tool_search_call",
        /// The tools found.
        ToolSearchOutput(Box<ToolSearchOutput>) = "tool_search_output",
        /// Tools added in mid-conversation.
        AdditionalTools(Box<AdditionalTools>) = "additional_tools",
        /// A command for the application's machine.
        LocalShellCall(Box<LocalShellCall>) = "local_shell_call",
        /// Its output.
        LocalShellCallOutput(Box<LocalShellCallOutput>) = "local_shell_call_output",
        /// Commands for a shell.
        ShellCall(Box<ShellCall>) = "shell_call",
        /// Their output.
        ShellCallOutput(Box<ShellCallOutput>) = "shell_call_output",
        /// A change to a file.
        ApplyPatchCall(Box<ApplyPatchCall>) = "apply_patch_call",
        /// How it went.
        ApplyPatchCallOutput(Box<ApplyPatchCallOutput>) = "apply_patch_call_output",
        /// An action on a computer.
        ComputerCall(Box<ComputerCall>) = "computer_call",
        /// What the computer shows.
        ComputerCallOutput(Box<ComputerCallOutput>) = "computer_call_output",
        /// A program that calls tools.
        Program(Box<Program>) = "program",
        /// Its result.
        ProgramOutput(Box<ProgramOutput>) = "program_output",
        /// A search of the web.
        WebSearchCall(Box<WebSearchCall>) = "web_search_call",
        /// A search of uploaded files.
        FileSearchCall(Box<FileSearchCall>) = "file_search_call",
        /// An image being made.
        ImageGenerationCall(Box<ImageGenerationCall>) = "image_generation_call",
        /// Code run by the server.
        CodeInterpreterCall(Box<CodeInterpreterCall>) = "code_interpreter_call",
        /// A call of a tool on an MCP server.
        McpCall(Box<McpCall>) = "mcp_call",
        /// The tools of an MCP server.
        McpListTools(Box<McpListTools>) = "mcp_list_tools",
        /// Asks for approval of an MCP call.
        McpApprovalRequest(Box<McpApprovalRequest>) = "mcp_approval_request",
        /// Gives or refuses it.
        McpApprovalResponse(Box<McpApprovalResponse>) = "mcp_approval_response",
        /// A compacted conversation. Also read as `compaction_summary`.
        Compaction(Box<Compaction>) = "compaction" | "compaction_summary",
        /// Asks the server to compact.
        CompactionTrigger(Box<CompactionTrigger>) = "compaction_trigger",
        /// Where the context was compacted (Codex).
        ContextCompaction(Box<ContextCompaction>) = "context_compaction",
        /// A snapshot of a working tree (old Codex clients).
        GhostSnapshot(Box<GhostSnapshot>) = "ghost_snapshot",
        /// Stands for a stored item.
        ItemReference(Box<ItemReference>) = "item_reference",
    }
}

from_payloads!(ResponseItem {
    Message,
    AgentMessage,
    ReasoningItem => Reasoning,
    FunctionCall,
    FunctionCallOutput,
    CustomToolCall,
    CustomToolCallOutput,
    ToolSearchCall,
    ToolSearchOutput,
    AdditionalTools,
    LocalShellCall,
    LocalShellCallOutput,
    ShellCall,
    ShellCallOutput,
    ApplyPatchCall,
    ApplyPatchCallOutput,
    ComputerCall,
    ComputerCallOutput,
    Program,
    ProgramOutput,
    WebSearchCall,
    FileSearchCall,
    ImageGenerationCall,
    CodeInterpreterCall,
    McpCall,
    McpListTools,
    McpApprovalRequest,
    McpApprovalResponse,
    Compaction,
    CompactionTrigger,
    ContextCompaction,
    GhostSnapshot,
    ItemReference,
});

impl ResponseItem {
    /// A message from the person.
    #[must_use]
    pub fn user(text: impl Into<String>) -> Self {
        Self::message(Role::User, ContentPart::input_text(text))
    }

    /// A message from the model.
    #[must_use]
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::message(Role::Assistant, ContentPart::output_text(text))
    }

    /// A message from the platform.
    #[must_use]
    pub fn system(text: impl Into<String>) -> Self {
        Self::message(Role::System, ContentPart::input_text(text))
    }

    /// A message from the application.
    #[must_use]
    pub fn developer(text: impl Into<String>) -> Self {
        Self::message(Role::Developer, ContentPart::input_text(text))
    }

    /// A message of any role and content, such as text with images:
    ///
    /// ```
    /// use tower_openai::model::{ContentPart, ResponseItem, Role};
    ///
    /// let item = ResponseItem::message(
    ///     Role::User,
    ///     [
    ///         ContentPart::input_text("What is this?"),
    ///         ContentPart::input_image("https://example.com/cat.png"),
    ///     ],
    /// );
    /// ```
    #[must_use]
    pub fn message(role: Role, content: impl Into<Content>) -> Self {
        Message::new(role, content).into()
    }

    /// The answer to the function call `call_id`.
    #[must_use]
    pub fn function_call_output(call_id: impl Into<String>, output: impl Into<Content>) -> Self {
        FunctionCallOutput::new(call_id, output).into()
    }

    /// The answer to the custom tool call `call_id`.
    #[must_use]
    pub fn custom_tool_call_output(call_id: impl Into<String>, output: impl Into<Content>) -> Self {
        CustomToolCallOutput::new(call_id, output).into()
    }

    /// The message, if it is one.
    #[must_use]
    pub fn as_message(&self) -> Option<&Message> {
        match self {
            Self::Message(message) => Some(message),
            _ => None,
        }
    }

    /// The function call, if it is one.
    #[must_use]
    pub fn as_function_call(&self) -> Option<&FunctionCall> {
        match self {
            Self::FunctionCall(call) => Some(call),
            _ => None,
        }
    }

    /// The item's id.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        macro_rules! id {
            ($($arm:ident)+) => {
                match self {
                    $(Self::$arm(item) => item.id.as_deref(),)+
                    Self::ItemReference(item) => Some(&item.id),
                    Self::CompactionTrigger(_) | Self::GhostSnapshot(_) => None,
                    Self::Unknown(item) => item.text_member("id"),
                }
            };
        }
        id!(Message AgentMessage Reasoning FunctionCall FunctionCallOutput CustomToolCall
            CustomToolCallOutput ToolSearchCall ToolSearchOutput AdditionalTools LocalShellCall
            LocalShellCallOutput ShellCall ShellCallOutput ApplyPatchCall ApplyPatchCallOutput
            ComputerCall ComputerCallOutput Program ProgramOutput WebSearchCall FileSearchCall
            ImageGenerationCall CodeInterpreterCall McpCall McpListTools McpApprovalRequest
            McpApprovalResponse Compaction ContextCompaction)
    }

    /// The id that links a call to its output.
    #[must_use]
    pub fn call_id(&self) -> Option<&str> {
        match self {
            Self::FunctionCall(item) => Some(&item.call_id),
            Self::FunctionCallOutput(item) => item.call_id.as_deref(),
            Self::CustomToolCall(item) => Some(&item.call_id),
            Self::CustomToolCallOutput(item) => Some(&item.call_id),
            Self::ToolSearchCall(item) => item.call_id.as_deref(),
            Self::ToolSearchOutput(item) => item.call_id.as_deref(),
            Self::LocalShellCall(item) => item.call_id.as_deref(),
            Self::LocalShellCallOutput(item) => item.call_id.as_deref(),
            Self::ShellCall(item) => Some(&item.call_id),
            Self::ShellCallOutput(item) => Some(&item.call_id),
            Self::ApplyPatchCall(item) => Some(&item.call_id),
            Self::ApplyPatchCallOutput(item) => Some(&item.call_id),
            Self::ComputerCall(item) => Some(&item.call_id),
            Self::ComputerCallOutput(item) => Some(&item.call_id),
            Self::Program(item) => Some(&item.call_id),
            Self::ProgramOutput(item) => Some(&item.call_id),
            Self::Unknown(item) => item.text_member("call_id"),
            _ => None,
        }
    }
}

impl From<&str> for ResponseItem {
    /// A message from the person.
    fn from(text: &str) -> Self {
        Self::user(text)
    }
}

impl From<String> for ResponseItem {
    /// A message from the person.
    fn from(text: String) -> Self {
        Self::user(text)
    }
}

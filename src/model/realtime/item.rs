//! [`Item`]: one element of a realtime conversation.

use crate::model::macros::{from_payloads, tagged_enum, wire_struct};
use crate::model::{ImageDetail, ItemStatus, RawJson, Role};

tagged_enum! {
    /// One element of a realtime conversation.
    pub enum Item {
        /// A message.
        Message(Box<Message>) = "message",
        /// A call of a function.
        FunctionCall(Box<FunctionCall>) = "function_call",
        /// The output of a function.
        FunctionCallOutput(Box<FunctionCallOutput>) = "function_call_output",
        /// The tools of an MCP server.
        McpListTools(Box<McpListTools>) = "mcp_list_tools",
        /// A call of a tool on an MCP server.
        McpCall(Box<McpCall>) = "mcp_call",
        /// Asks for approval of an MCP call.
        McpApprovalRequest(Box<McpApprovalRequest>) = "mcp_approval_request",
        /// Gives or refuses it.
        McpApprovalResponse(Box<McpApprovalResponse>) = "mcp_approval_response",
    }
}

from_payloads!(Item {
    Message,
    FunctionCall,
    FunctionCallOutput,
    McpListTools,
    McpCall,
    McpApprovalRequest,
    McpApprovalResponse,
});

wire_struct! {
    /// A message of a realtime conversation.
    pub struct Message {
        /// Set by the server unless it is given.
        optional id: Option<Box<str>>,
        /// Set by the server.
        lenient object: Option<Box<str>>,
        /// Set by the server.
        lenient status: Option<ItemStatus>,
        /// Who says it.
        required role: Role,
        /// What is said.
        always content: Vec<Content>,
    }
}

wire_struct! {
    /// A call of a function.
    #[derive(Default)]
    pub struct FunctionCall {
        /// Set by the server unless it is given.
        optional id: Option<Box<str>>,
        /// Set by the server.
        lenient object: Option<Box<str>>,
        /// Set by the server.
        lenient status: Option<ItemStatus>,
        /// To be repeated by the output.
        optional call_id: Option<Box<str>>,
        /// The function.
        required name: String,
        /// The arguments as the model wrote them: JSON text, not always well-formed. Empty while the
        /// server has none.
        always arguments: String,
    }
}

wire_struct! {
    /// The output of a function.
    #[derive(Default)]
    pub struct FunctionCallOutput {
        /// Set by the server unless it is given.
        optional id: Option<Box<str>>,
        /// Set by the server.
        lenient object: Option<Box<str>>,
        /// Set by the server.
        lenient status: Option<ItemStatus>,
        /// The call that this answers.
        required call_id: String,
        /// What the model gets to see.
        required output: String,
    }
}

wire_struct! {
    /// The tools of an MCP server.
    #[derive(Default)]
    pub struct McpListTools {
        /// Set by the server.
        optional id: Option<Box<str>>,
        /// The server's label.
        required server_label: String,
        /// The tools.
        lenient tools: Vec<RawJson>,
    }
}

wire_struct! {
    /// A call of a tool on an MCP server.
    #[derive(Default)]
    pub struct McpCall {
        /// Set by the server.
        optional id: Option<Box<str>>,
        /// The approval that allowed it.
        lenient approval_request_id: Option<String>,
        /// The server's label.
        required server_label: String,
        /// The tool.
        required name: String,
        /// The arguments as the model wrote them.
        required arguments: String,
        /// The tool's output.
        lenient output: Option<String>,
        /// Why it failed.
        lenient error: Option<RawJson>,
    }
}

wire_struct! {
    /// Asks for approval of an MCP call.
    #[derive(Default)]
    pub struct McpApprovalRequest {
        /// To be repeated by the answer.
        optional id: Option<Box<str>>,
        /// The server's label.
        required server_label: String,
        /// The tool.
        required name: String,
        /// The arguments as the model wrote them.
        required arguments: String,
    }
}

wire_struct! {
    /// Gives or refuses approval of an MCP call.
    #[derive(Default)]
    pub struct McpApprovalResponse {
        /// Set by the server unless it is given.
        optional id: Option<Box<str>>,
        /// What this answers.
        required approval_request_id: String,
        /// Whether the call may be made.
        required approve: bool,
        /// Why, or why not.
        optional reason: Option<String>,
    }
}

tagged_enum! {
    /// One part of a message of a realtime conversation.
    pub enum Content {
        /// Text from the person or the application.
        InputText(TextContent) = "input_text",
        /// What the person said.
        InputAudio(AudioContent) = "input_audio",
        /// An image from the person.
        InputImage(ImageContent) = "input_image",
        /// Text from the model.
        OutputText(TextContent) = "output_text",
        /// What the model said.
        OutputAudio(AudioContent) = "output_audio",
        /// Text, as the beta called it.
        Text(TextContent) = "text",
        /// What the model said, as the beta called it.
        Audio(AudioContent) = "audio",
    }
}

wire_struct! {
    /// Text.
    #[derive(Default)]
    pub struct TextContent {
        /// The text; empty while the server has none.
        always text: String,
    }
}

wire_struct! {
    /// Audio.
    #[derive(Default)]
    pub struct AudioContent {
        /// The audio in base64; the server leaves it out of its events.
        optional audio: Option<String>,
        /// What it says, once it is known.
        optional transcript: Option<String>,
    }
}

wire_struct! {
    /// An image.
    #[derive(Default)]
    pub struct ImageContent {
        /// A `data:` URL; empty if the server leaves it out.
        always image_url: String,
        /// How closely the model looks.
        optional detail: Option<ImageDetail>,
    }
}

impl Content {
    /// Text from the person or the application.
    #[must_use]
    pub fn input_text(text: impl Into<String>) -> Self {
        Self::InputText(TextContent { text: text.into(), ..TextContent::default() })
    }

    /// Text from the model.
    #[must_use]
    pub fn output_text(text: impl Into<String>) -> Self {
        Self::OutputText(TextContent { text: text.into(), ..TextContent::default() })
    }

    /// The text, or the transcript of the audio, if there is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::InputText(part) | Self::OutputText(part) | Self::Text(part) => Some(&part.text),
            Self::InputAudio(part) | Self::OutputAudio(part) | Self::Audio(part) => {
                part.transcript.as_deref()
            }
            Self::InputImage(_) | Self::Unknown(_) => None,
        }
    }
}

impl Item {
    /// A message from the person.
    #[must_use]
    pub fn user(text: impl Into<String>) -> Self {
        Self::message(Role::User, [Content::input_text(text)])
    }

    /// A message from the application.
    #[must_use]
    pub fn system(text: impl Into<String>) -> Self {
        Self::message(Role::System, [Content::input_text(text)])
    }

    /// A message from the model, say of an earlier conversation.
    #[must_use]
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::message(Role::Assistant, [Content::output_text(text)])
    }

    /// A message of any role and content.
    #[must_use]
    pub fn message(role: Role, content: impl IntoIterator<Item = Content>) -> Self {
        Message {
            id: None,
            object: None,
            status: None,
            role,
            content: content.into_iter().collect(),
            extra: Default::default(),
        }
        .into()
    }

    /// The answer to the call `call_id`.
    #[must_use]
    pub fn function_call_output(call_id: impl Into<String>, output: impl Into<String>) -> Self {
        FunctionCallOutput {
            call_id: call_id.into(),
            output: output.into(),
            ..FunctionCallOutput::default()
        }
        .into()
    }

    /// The item's id.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Message(item) => item.id.as_deref(),
            Self::FunctionCall(item) => item.id.as_deref(),
            Self::FunctionCallOutput(item) => item.id.as_deref(),
            Self::McpListTools(item) => item.id.as_deref(),
            Self::McpCall(item) => item.id.as_deref(),
            Self::McpApprovalRequest(item) => item.id.as_deref(),
            Self::McpApprovalResponse(item) => item.id.as_deref(),
            Self::Unknown(item) => item.text_member("id"),
        }
    }

    /// All text of a message, transcripts of audio included; empty for other items.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Message(message) => message.content.iter().filter_map(Content::text).collect(),
            _ => String::new(),
        }
    }
}

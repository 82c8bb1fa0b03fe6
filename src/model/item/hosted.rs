//! Calls that the server carries out itself: search, images, code, MCP.
//!
//! Results may be missing or `null` while such a call is running.

use std::sync::Arc;

use crate::model::macros::{from_payloads, tagged_enum, wire_struct};
use crate::model::{FileSearchResult, ItemStatus, RawJson};

wire_struct! {
    /// A search of the web.
    #[derive(Default)]
    pub struct WebSearchCall {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// How far it is.
        optional status: Option<ItemStatus>,
        /// What is done.
        optional action: Option<WebSearchAction>,
    }
}

tagged_enum! {
    /// What a web search does.
    pub enum WebSearchAction {
        /// Search.
        Search(Box<WebSearch>) = "search",
        /// Open a page.
        OpenPage(OpenPage) = "open_page",
        /// Look for text in a page.
        FindInPage(FindInPage) = "find_in_page",
    }
}

from_payloads!(WebSearchAction { OpenPage, FindInPage });

wire_struct! {
    /// A query, or several.
    #[derive(Default)]
    pub struct WebSearch {
        /// The query.
        optional query: Option<String>,
        /// The queries.
        optional queries: Option<Vec<String>>,
        /// Where the results come from, when asked for.
        optional sources: Option<Vec<RawJson>>,
    }
}

wire_struct! {
    /// A page that is opened.
    #[derive(Default)]
    pub struct OpenPage {
        /// Its address.
        optional url: Option<String>,
    }
}

wire_struct! {
    /// Text looked for in a page.
    #[derive(Default)]
    pub struct FindInPage {
        /// The page's address.
        optional url: Option<String>,
        /// The text.
        optional pattern: Option<String>,
    }
}

wire_struct! {
    /// A search of uploaded files.
    #[derive(Default)]
    pub struct FileSearchCall {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// How far it is.
        optional status: Option<ItemStatus>,
        /// What is searched for.
        always queries: Vec<String>,
        /// The hits, when asked for.
        optional results: Option<Vec<FileSearchResult>>,
    }
}

wire_struct! {
    /// An image being made.
    pub struct ImageGenerationCall {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// How far it is.
        required status: ItemStatus,
        /// The prompt as the server changed it.
        optional revised_prompt: Option<String>,
        /// The image in base64; `None` while it is being made.
        nullable result: Option<String>,
    }
}

wire_struct! {
    /// Code run by the server.
    #[derive(Default)]
    pub struct CodeInterpreterCall {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// How far it is.
        optional status: Option<ItemStatus>,
        /// Where it runs.
        optional container_id: Option<String>,
        /// The code.
        nullable code: Option<String>,
        /// What it gave, when asked for.
        nullable outputs: Option<Vec<CodeInterpreterOutput>>,
    }
}

tagged_enum! {
    /// What code gave.
    pub enum CodeInterpreterOutput {
        /// Text.
        Logs(CodeLogs) = "logs",
        /// An image.
        Image(CodeImage) = "image",
    }
}

wire_struct! {
    /// Text that code printed.
    #[derive(Default)]
    pub struct CodeLogs {
        /// The text.
        required logs: String,
    }
}

wire_struct! {
    /// An image that code drew.
    #[derive(Default)]
    pub struct CodeImage {
        /// Its address.
        required url: String,
    }
}

wire_struct! {
    /// A call of a tool on an MCP server.
    #[derive(Default)]
    pub struct McpCall {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// The MCP server.
        required server_label: String,
        /// The tool.
        required name: String,
        /// The arguments: JSON text.
        always arguments: String,
        /// What the tool answered.
        optional output: Option<String>,
        /// What went wrong.
        optional error: Option<RawJson>,
        /// How far it is.
        optional status: Option<ItemStatus>,
        /// The approval that let it run.
        optional approval_request_id: Option<String>,
    }
}

wire_struct! {
    /// The tools of an MCP server.
    #[derive(Default)]
    pub struct McpListTools {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// The MCP server.
        required server_label: String,
        /// Its tools.
        always tools: Vec<McpListedTool>,
        /// Why they could not be listed.
        optional error: Option<RawJson>,
    }
}

wire_struct! {
    /// A tool of an MCP server.
    #[derive(Default)]
    pub struct McpListedTool {
        /// The tool.
        required name: String,
        /// What it does.
        optional description: Option<String>,
        /// The JSON schema of its arguments.
        optional input_schema: Option<RawJson>,
        /// Further facts.
        optional annotations: Option<RawJson>,
    }
}

wire_struct! {
    /// Asks whether a tool on an MCP server may be called.
    #[derive(Default)]
    pub struct McpApprovalRequest {
        /// To be repeated by the answer.
        optional_id id: Option<Arc<str>>,
        /// The MCP server.
        required server_label: String,
        /// The tool.
        required name: String,
        /// The arguments: JSON text.
        always arguments: String,
    }
}

wire_struct! {
    /// Answers an [`McpApprovalRequest`].
    #[derive(Default)]
    pub struct McpApprovalResponse {
        /// Set by the server.
        optional_id id: Option<Arc<str>>,
        /// The request that this answers.
        required approval_request_id: String,
        /// Whether the call may be made.
        required approve: bool,
        /// Why or why not.
        optional reason: Option<String>,
    }
}

impl McpApprovalResponse {
    /// The answer to the request `approval_request_id`.
    #[must_use]
    pub fn new(approval_request_id: impl Into<String>, approve: bool) -> Self {
        Self { approval_request_id: approval_request_id.into(), approve, ..Default::default() }
    }
}

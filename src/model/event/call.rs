//! Calls of tools: progress, arguments, shell commands, images, audio.

use std::sync::Arc;

use crate::model::ShellOutput;
use crate::model::macros::wire_struct;

wire_struct! {
    /// A call has reached the state that the event's type names.
    #[derive(Default)]
    pub struct CallProgress {
        /// The call's item.
        optional_id item_id: Option<Arc<str>>,
        /// The item's place in the response.
        optional output_index: Option<u32>,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}

wire_struct! {
    /// All arguments of a function or MCP call.
    #[derive(Default)]
    pub struct ArgumentsDone {
        /// The call's item.
        optional_id item_id: Option<Arc<str>>,
        /// The item's place in the response.
        optional output_index: Option<u32>,
        /// The function's name.
        optional name: Option<String>,
        /// The arguments, JSON text.
        required arguments: String,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}

wire_struct! {
    /// All input of a custom tool.
    #[derive(Default)]
    pub struct InputDone {
        /// The call's item.
        optional_id item_id: Option<Arc<str>>,
        /// The call itself, which the Codex backend may name instead of the item.
        optional call_id: Option<Arc<str>>,
        /// The item's place in the response.
        optional output_index: Option<u32>,
        /// The input.
        required input: String,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}

wire_struct! {
    /// All code of a code interpreter call.
    #[derive(Default)]
    pub struct CodeDone {
        /// The call's item.
        optional_id item_id: Option<Arc<str>>,
        /// The item's place in the response.
        optional output_index: Option<u32>,
        /// The code.
        required code: String,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}

wire_struct! {
    /// A sketch of an image that is being made.
    #[derive(Default)]
    pub struct PartialImage {
        /// The call's item.
        optional_id item_id: Option<Arc<str>>,
        /// The item's place in the response.
        optional output_index: Option<u32>,
        /// Which sketch this is, from 0.
        optional partial_image_index: Option<u32>,
        /// The image's bytes as base64.
        required partial_image_b64: String,
        /// Width and height, as in `1024x1024`.
        optional size: Option<Box<str>>,
        /// The quality.
        optional quality: Option<Box<str>>,
        /// The background.
        optional background: Option<Box<str>>,
        /// The image format.
        optional output_format: Option<Box<str>>,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}

wire_struct! {
    /// A shell command that begins or is complete.
    #[derive(Default)]
    pub struct ShellCommand {
        /// The call's item, where the server names it.
        optional_id item_id: Option<Arc<str>>,
        /// The item's place in the response.
        optional output_index: Option<u32>,
        /// The command's place in the call.
        optional command_index: Option<u32>,
        /// The command.
        required command: String,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}

wire_struct! {
    /// More of a shell command.
    #[derive(Default)]
    pub struct ShellCommandDelta drops ["obfuscation"] {
        /// The call's item, where the server names it.
        optional_id item_id: Option<Arc<str>>,
        /// The item's place in the response.
        optional output_index: Option<u32>,
        /// The command's place in the call.
        optional command_index: Option<u32>,
        /// The new text.
        required delta: String,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}

wire_struct! {
    /// More of a shell command's output.
    #[derive(Default)]
    pub struct ShellOutputDelta drops ["obfuscation"] {
        /// The output's item.
        optional_id item_id: Option<Arc<str>>,
        /// The item's place in the response.
        optional output_index: Option<u32>,
        /// The command's place in the call.
        optional command_index: Option<u32>,
        /// The new output.
        required delta: ShellOutputChunk,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}

wire_struct! {
    /// A piece of a shell command's output.
    #[derive(Default)]
    pub struct ShellOutputChunk {
        /// New text on standard output.
        optional stdout: Option<String>,
        /// New text on standard error.
        optional stderr: Option<String>,
    }
}

wire_struct! {
    /// All output of a shell command.
    #[derive(Default)]
    pub struct ShellOutputDone {
        /// The output's item.
        optional_id item_id: Option<Arc<str>>,
        /// The item's place in the response.
        optional output_index: Option<u32>,
        /// The command's place in the call.
        optional command_index: Option<u32>,
        /// The output.
        required output: Vec<ShellOutput>,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}

wire_struct! {
    /// More audio (base64), or more of its transcript (text).
    #[derive(Default)]
    pub struct AudioDelta drops ["obfuscation"] {
        /// What is new.
        required delta: String,
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}

wire_struct! {
    /// The audio or its transcript is finished.
    #[derive(Default)]
    pub struct AudioDone {
        /// Position in the stream.
        optional sequence_number: Option<u64>,
    }
}

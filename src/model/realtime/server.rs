//! [`ServerEvent`]: what the server says.

mod answer;
mod input;
mod session;

pub use self::answer::*;
pub use self::input::*;
pub use self::session::*;

use crate::model::ErrorEvent;
use crate::model::macros::tagged_enum;

tagged_enum! {
    /// What the server says.
    ///
    /// The names are those of the released API. The beta's names of the same events are read too, and
    /// written as the released ones; events that only Codex's first version has stand last. Most
    /// [errors](Self::Error) leave the session as it is.
    ///
    /// What an event is about is required; ids and positions are not.
    pub enum ServerEvent {
        /// The session has begun.
        SessionCreated(SessionEvent) = "session.created",
        /// The session is held another way from now on.
        SessionUpdated(SessionEvent) = "session.updated",
        /// A transcription session of the beta has begun.
        TranscriptionSessionCreated(SessionEvent) = "transcription_session.created",
        /// A transcription session of the beta is held another way from now on.
        TranscriptionSessionUpdated(SessionEvent) = "transcription_session.updated",
        /// Something went wrong, mostly with an event of ours.
        Error(Box<ErrorEvent>) = "error",
        /// How much may still be asked.
        RateLimitsUpdated(RateLimitsUpdated) = "rate_limits.updated",

        /// There is a conversation.
        ConversationCreated(ConversationCreated) = "conversation.created",
        /// The conversation has a new item.
        ConversationItemAdded(Box<ItemEvent>) = "conversation.item.added",
        /// An item is finished.
        ConversationItemDone(Box<ItemEvent>) = "conversation.item.done",
        /// The conversation has a new item, as the beta says it.
        ConversationItemCreated(Box<ItemEvent>) = "conversation.item.created",
        /// An item that was asked for.
        ConversationItemRetrieved(Box<ItemEvent>) = "conversation.item.retrieved",
        /// An item was taken out.
        ConversationItemDeleted(ItemDeleted) = "conversation.item.deleted",
        /// An item was cut to what was heard.
        ConversationItemTruncated(ItemTruncated) = "conversation.item.truncated",

        /// More of what the person says.
        InputAudioTranscriptionDelta(TranscriptionDelta) =
            "conversation.item.input_audio_transcription.delta",
        /// All of what the person said.
        InputAudioTranscriptionCompleted(Box<TranscriptionCompleted>) =
            "conversation.item.input_audio_transcription.completed",
        /// A piece of what was said, and who said it.
        InputAudioTranscriptionSegment(Box<TranscriptionSegment>) =
            "conversation.item.input_audio_transcription.segment",
        /// What the person said could not be written down.
        InputAudioTranscriptionFailed(Box<TranscriptionFailed>) =
            "conversation.item.input_audio_transcription.failed",

        /// What was said is a message now.
        InputAudioBufferCommitted(InputCommitted) = "input_audio_buffer.committed",
        /// What was said was taken back.
        InputAudioBufferCleared(BareEvent) = "input_audio_buffer.cleared",
        /// The person began to speak.
        InputAudioBufferSpeechStarted(SpeechStarted) = "input_audio_buffer.speech_started",
        /// The person ended.
        InputAudioBufferSpeechStopped(SpeechStopped) = "input_audio_buffer.speech_stopped",
        /// Nobody has spoken for a while.
        InputAudioBufferTimeoutTriggered(TimeoutTriggered) = "input_audio_buffer.timeout_triggered",
        /// A key of a telephone.
        InputAudioBufferDtmfEventReceived(DtmfReceived) = "input_audio_buffer.dtmf_event_received",
        /// The model's audio begins to play; over WebRTC and SIP.
        OutputAudioBufferStarted(ResponseId) = "output_audio_buffer.started",
        /// The model's audio has played.
        OutputAudioBufferStopped(ResponseId) = "output_audio_buffer.stopped",
        /// The model's audio was stopped.
        OutputAudioBufferCleared(ResponseId) = "output_audio_buffer.cleared",

        /// The model begins to answer.
        ResponseCreated(Box<ResponseEvent>) = "response.created",
        /// The answer is over; its status says how.
        ResponseDone(Box<ResponseEvent>) = "response.done",
        /// The answer was called off (Codex; the public API says so in `response.done`).
        ResponseCancelled(Box<ResponseEvent>) = "response.cancelled",
        /// A new item of the answer begins.
        ResponseOutputItemAdded(Box<OutputItem>) = "response.output_item.added",
        /// An item of the answer is finished.
        ResponseOutputItemDone(Box<OutputItem>) = "response.output_item.done",
        /// A new part of a message begins.
        ResponseContentPartAdded(Box<ContentPart>) = "response.content_part.added",
        /// A part of a message is finished.
        ResponseContentPartDone(Box<ContentPart>) = "response.content_part.done",
        /// More text.
        ResponseOutputTextDelta(TextDelta) = "response.output_text.delta" | "response.text.delta",
        /// All text of a part.
        ResponseOutputTextDone(TextDone) = "response.output_text.done" | "response.text.done",
        /// More audio.
        ResponseOutputAudioDelta(AudioDelta) =
            "response.output_audio.delta" | "response.audio.delta",
        /// The audio of a part is complete.
        ResponseOutputAudioDone(AudioDone) = "response.output_audio.done" | "response.audio.done",
        /// More of what the audio says.
        ResponseOutputAudioTranscriptDelta(TextDelta) =
            "response.output_audio_transcript.delta" | "response.audio_transcript.delta",
        /// All of what the audio says.
        ResponseOutputAudioTranscriptDone(TranscriptDone) =
            "response.output_audio_transcript.done" | "response.audio_transcript.done",
        /// More of a function call's arguments.
        ResponseFunctionCallArgumentsDelta(ArgumentsDelta) =
            "response.function_call_arguments.delta",
        /// All arguments of a function call.
        ResponseFunctionCallArgumentsDone(ArgumentsDone) = "response.function_call_arguments.done",
        /// More of an MCP call's arguments.
        ResponseMcpCallArgumentsDelta(ArgumentsDelta) = "response.mcp_call_arguments.delta",
        /// All arguments of an MCP call.
        ResponseMcpCallArgumentsDone(ArgumentsDone) = "response.mcp_call_arguments.done",
        /// An MCP call begins.
        ResponseMcpCallInProgress(McpProgress) = "response.mcp_call.in_progress",
        /// An MCP call is finished.
        ResponseMcpCallCompleted(McpProgress) = "response.mcp_call.completed",
        /// An MCP call failed.
        ResponseMcpCallFailed(McpProgress) = "response.mcp_call.failed",
        /// The tools of an MCP server are being listed.
        McpListToolsInProgress(McpProgress) = "mcp_list_tools.in_progress",
        /// The tools of an MCP server are listed.
        McpListToolsCompleted(McpProgress) = "mcp_list_tools.completed",
        /// The tools of an MCP server could not be listed.
        McpListToolsFailed(McpProgress) = "mcp_list_tools.failed",

        /// More audio (Codex, version 1).
        ConversationOutputAudioDelta(CodexAudioDelta) = "conversation.output_audio.delta",
        /// More of what the person says (Codex, version 1).
        ConversationInputTranscriptDelta(CodexTranscriptDelta) =
            "conversation.input_transcript.delta",
        /// All of what the person said (Codex, version 1).
        ConversationInputTranscriptTurnMarked(CodexTurnMarked) =
            "conversation.input_transcript.turn_marked",
        /// More of what the model says (Codex, version 1).
        ConversationOutputTranscriptDelta(CodexTranscriptDelta) =
            "conversation.output_transcript.delta",
        /// The model gives work to the agent behind it (Codex, version 1).
        ConversationHandoffRequested(CodexHandoff) = "conversation.handoff.requested",
    }
}

impl ServerEvent {
    /// The server's id of the session, in the events that say it.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        match self {
            Self::SessionCreated(event)
            | Self::SessionUpdated(event)
            | Self::TranscriptionSessionCreated(event)
            | Self::TranscriptionSessionUpdated(event) => event.session.id.as_deref(),
            _ => None,
        }
    }

    /// The text that this event adds to the model's answer: of a text, or of the transcript of audio.
    #[must_use]
    pub fn output_text_delta(&self) -> Option<&str> {
        match self {
            Self::ResponseOutputTextDelta(event)
            | Self::ResponseOutputAudioTranscriptDelta(event) => Some(&event.delta),
            Self::ConversationOutputTranscriptDelta(event) => Some(&event.delta),
            _ => None,
        }
    }

    /// The audio that this event adds to the model's answer, in base64.
    #[must_use]
    pub fn output_audio_delta(&self) -> Option<&str> {
        match self {
            Self::ResponseOutputAudioDelta(event) => Some(&event.audio),
            Self::ConversationOutputAudioDelta(event) => Some(&event.audio),
            _ => None,
        }
    }
}

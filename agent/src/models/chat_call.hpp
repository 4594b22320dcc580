#pragma once

// What a chat needs besides its messages, by the style of the model that answers it: the grammar of
// the tools that it offers, and a reader for thoughts and calls. Private to inference.cpp.

#include <memory>

#include "skerry/agent/chat_reader.hpp"
#include "skerry/agent/core.hpp"
#include "skerry/agent/inference.hpp"

namespace skerry::agent {

// For a call that has none.
std::string make_call_id(Core& core);

// For templates that tell the date.
void tell_time(const Core& core, runtime::PromptChat& chat);

// Completes a chat's request; the reader is null if there is nothing to take out of the answer.
// kInvalidArgument: tools that this model cannot be offered.
Result<std::unique_ptr<ChatReader>> prepare_chat(Core& core,
                                                 const runtime::ModelInfo& info,
                                                 const ToolUse& tools,
                                                 runtime::GenerateRequest& request);

}  // namespace skerry::agent

#include "chat_messages.hpp"

#include <string>
#include <utility>

#include "skerry/agent/text_request.hpp"
#include "skerry/agent/tool_calls.hpp"
#include "skerry/common/json.hpp"

namespace skerry::agent {
namespace {

namespace chat_pb = skerry::inference::v1;

Error bad_in_chat(const std::string& where, const char* what) {
  return Error{Error::Code::kInvalidArgument, where + ": " + what};
}

Result<runtime::ToolCall> message_call(const chat_pb::ToolCall& call, const std::string& where) {
  if (!is_tool_name(call.name())) {
    return bad_in_chat(where + ".name", "must be 1 to 64 letters, digits, \"_\" and \"-\"");
  }
  const std::string arguments = call.arguments().empty() ? "{}" : call.arguments();
  const Result<Json> parsed = Json::parse(arguments);
  if (!parsed || !parsed->is_object()) {
    return bad_in_chat(where + ".arguments", "must be the text of a JSON object");
  }
  return runtime::ToolCall{call.id(), call.name(), arguments};
}

Result<runtime::ChatMessage> chat_message(const chat_pb::Message& message,
                                          const std::string& where) {
  runtime::ChatMessage out{message.role(), message.content()};
  out.reasoning = message.reasoning();
  const auto calls = static_cast<std::size_t>(message.tool_calls_size());
  if (calls > ToolLimits::kCalls || (calls > 0 && message.role() != "assistant")) {
    return bad_in_chat(where + ".tool_calls",
                       "at most 128 are taken, in a message of the assistant's");
  }
  for (int i = 0; i < message.tool_calls_size(); ++i) {
    Result<runtime::ToolCall> call =
        message_call(message.tool_calls(i), where + ".tool_calls[" + std::to_string(i) + "]");
    if (!call) {
      return call.error();
    }
    out.tool_calls.push_back(*std::move(call));
  }
  out.tool_call_id = message.tool_call_id();
  out.name = message.name();
  return out;
}

}  // namespace

Result<std::vector<runtime::ChatMessage>> chat_messages(const chat_pb::ChatRequest& request) {
  const auto count = static_cast<std::size_t>(request.messages_size());
  if (count == 0 || count > TextLimits::kMessages) {
    return bad_in_chat("messages", "1 to 2048 are taken");
  }
  std::vector<runtime::ChatMessage> out;
  out.reserve(count);
  for (int i = 0; i < request.messages_size(); ++i) {
    Result<runtime::ChatMessage> message =
        chat_message(request.messages(i), "messages[" + std::to_string(i) + "]");
    if (!message) {
      return message.error();
    }
    out.push_back(*std::move(message));
  }
  return out;
}

}  // namespace skerry::agent

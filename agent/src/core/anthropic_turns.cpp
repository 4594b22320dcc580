#include "anthropic_turns.hpp"

#include <array>

#include "request_fields.hpp"
#include "tool_fields.hpp"

namespace skerry::agent::anthropic {
namespace {

constexpr std::array<std::string_view, 1> kTextBlocks{"text"};

Result<void> read_call(const Json& block, const std::string& where, ChatMessage& out) {
  CalledTool call;
  call.id = block.get_string("id").value_or("");
  call.name = block.get_string("name").value_or("");
  if (!is_tool_name(call.name)) {
    return fields::bad(where + ".name", "must be 1 to 64 letters, digits, \"_\" and \"-\"");
  }
  const Json* input = fields::given(block, "input");
  Result<std::string> arguments = input == nullptr
                                      ? Result<std::string>{std::string{"{}"}}
                                      : fields::read_arguments(*input, where + ".input");
  if (!arguments) {
    return arguments.error();
  }
  call.arguments = *std::move(arguments);
  out.calls.push_back(std::move(call));
  return {};
}

Result<ChatMessage> read_result(const Json& block, const std::string& where) {
  ChatMessage out{"tool", {}};
  out.call_id = block.get_string("tool_use_id").value_or("");
  if (out.call_id.empty()) {
    return fields::bad(where + ".tool_use_id", "is missing");
  }
  if (const Json* content = fields::given(block, "content")) {
    Result<std::string> text = fields::read_parts(*content, where + ".content", kTextBlocks);
    if (!text) {
      return text.error();
    }
    out.content = *std::move(text);
  }
  return out;
}

// The name of the tool whose call `id` is, in what was said before.
std::string name_of_call(const std::vector<ChatMessage>& messages, const std::string& id) {
  for (auto message = messages.rbegin(); message != messages.rend(); ++message) {
    for (const CalledTool& call : message->calls) {
      if (call.id == id) {
        return call.name;
      }
    }
  }
  return {};
}

Result<void> read_block(const Json& block,
                        const std::string& where,
                        ChatMessage& turn,
                        std::vector<ChatMessage>& out) {
  const std::string type = block.get_string("type").value_or("");
  const bool user = turn.role == "user";
  if (type == "tool_result" && user) {
    // Each is looked up in all that was said before.
    if (out.size() >= TextLimits::kMessages) {
      return fields::bad(
          where,
          "at most " + std::to_string(TextLimits::kMessages) + " messages and results are taken");
    }
    Result<ChatMessage> result = read_result(block, where);
    if (!result) {
      return result.error();
    }
    result->name = name_of_call(out, result->call_id);
    out.push_back(*std::move(result));
    return {};
  }
  if (type == "tool_use" && !user) {
    if (turn.calls.size() >= ToolLimits::kCalls) {
      return fields::bad(
          where, "at most " + std::to_string(ToolLimits::kCalls) + " calls are taken in a message");
    }
    return read_call(block, where, turn);
  }
  if ((type == "thinking" || type == "redacted_thinking") && !user) {
    turn.reasoning += block.get_string("thinking").value_or("");
    return {};
  }
  if (type != "text") {
    return fields::bad(where + ".type",
                       user ? "must be \"text\" or \"tool_result\""
                            : "must be \"text\", \"tool_use\" or \"thinking\"");
  }
  Result<std::string> text = block.get_string("text");
  if (!text) {
    return fields::bad(where + ".text", "must be a string");
  }
  turn.content += *text;
  return {};
}

}  // namespace

Result<void> read_turn(const Json& message,
                       const std::string& where,
                       std::vector<ChatMessage>& out) {
  Result<std::string> role = message.get_string("role");
  if (!role || (*role != "user" && *role != "assistant")) {
    return fields::bad(where + ".role", "must be \"user\" or \"assistant\"");
  }
  const Json* content = fields::given(message, "content");
  if (content == nullptr) {
    return fields::bad(where + ".content", "is missing");
  }
  ChatMessage turn{*role, {}};
  const Json::Array* blocks = content->array();
  if (blocks == nullptr) {
    Result<std::string> text = fields::read_parts(*content, where + ".content", kTextBlocks);
    if (!text) {
      return text.error();
    }
    turn.content = *std::move(text);
    out.push_back(std::move(turn));
    return {};
  }
  const std::size_t before = out.size();
  for (std::size_t i = 0; i < blocks->size(); ++i) {
    const std::string here = where + ".content[" + std::to_string(i) + "]";
    if (Result<void> done = read_block((*blocks)[i], here, turn, out); !done) {
      return done;
    }
  }
  // A message of results alone says nothing else.
  if (out.size() == before || !turn.content.empty()) {
    out.push_back(std::move(turn));
  }
  return {};
}

Result<void> read_tool_use(const Json& body, std::string_view document, TextRequest& out) {
  const fields::ToolPlace place{.document = document, .wrapped = false, .schema = "input_schema"};
  if (Result<void> done = fields::read_tools(body, place, out.tools); !done) {
    return done;
  }
  if (const Json* thinking = fields::given(body, "thinking")) {
    const std::string type = thinking->get_string("type").value_or("");
    if (type != "enabled" && type != "disabled" && type != "adaptive") {
      return fields::bad("thinking.type", "must be \"enabled\", \"adaptive\" or \"disabled\"");
    }
    out.thinking = type != "disabled";
  }
  const Json* choice = fields::given(body, "tool_choice");
  if (choice == nullptr) {
    return {};
  }
  bool single = false;
  if (Result<void> done = fields::read_flag(*choice, "disable_parallel_tool_use", single); !done) {
    return fields::bad("tool_choice.disable_parallel_tool_use", "must be true or false");
  }
  out.tools.parallel = !single;
  const std::string type = choice->get_string("type").value_or("");
  out.tools.named = choice->get_string("name").value_or("");
  if (type == "auto") {
    out.tools.choice = ToolChoice::kAuto;
  } else if (type == "none") {
    out.tools.choice = ToolChoice::kNone;
  } else if (type == "any") {
    out.tools.choice = ToolChoice::kRequired;
  } else if (type == "tool") {
    out.tools.choice = ToolChoice::kNamed;
  } else {
    return fields::bad("tool_choice.type", "must be \"auto\", \"any\", \"tool\" or \"none\"");
  }
  return fields::check_tool_choice(out.tools);
}

}  // namespace skerry::agent::anthropic

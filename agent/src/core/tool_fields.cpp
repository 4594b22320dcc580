#include "tool_fields.hpp"

#include <algorithm>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "request_fields.hpp"

namespace skerry::agent::fields {
namespace {

namespace bj = boost::json;

// The text of tools[i].function.parameters, or of tools[i].input_schema; empty if it is not there.
std::string schema_text(const bj::value& document, std::size_t index, const ToolPlace& place) {
  const bj::object* body = document.if_object();
  const bj::value* tools = body == nullptr ? nullptr : body->if_contains("tools");
  const bj::array* list = tools == nullptr ? nullptr : tools->if_array();
  const bj::object* tool =
      list == nullptr || index >= list->size() ? nullptr : (*list)[index].if_object();
  if (tool != nullptr && place.wrapped) {
    const bj::value* function = tool->if_contains("function");
    tool = function == nullptr ? nullptr : function->if_object();
  }
  const bj::value* schema =
      tool == nullptr ? nullptr : tool->if_contains({place.schema.data(), place.schema.size()});
  return schema == nullptr || schema->is_null() ? std::string{} : bj::serialize(*schema);
}

Result<ToolDefinition> read_tool(const Json& tool,
                                 const ToolPlace& place,
                                 const std::string& where) {
  const std::string type = tool.get_string("type").value_or("");
  const bool plain = type == "function" || (!place.wrapped && (type == "custom" || type.empty()));
  const bool custom = place.schema == "input_schema" ? type != "function" : type == "function";
  if (!plain || !custom) {
    return bad(where + ".type",
               "only tools that the caller runs are offered, not \"" + type + "\"");
  }
  const Json* function = place.wrapped ? given(tool, "function") : &tool;
  if (function == nullptr || !function->is_object()) {
    return bad(where + ".function", "is missing");
  }
  const std::string inner = place.wrapped ? where + ".function" : where;
  ToolDefinition out;
  out.name = function->get_string("name").value_or("");
  if (!is_tool_name(out.name)) {
    return bad(inner + ".name", "must be 1 to 64 letters, digits, \"_\" and \"-\"");
  }
  if (Result<void> done = read_text(*function, "description", out.description); !done) {
    return done.error();
  }
  if (Result<void> done = read_flag(*function, "strict", out.strict); !done) {
    return done.error();
  }
  const Json* schema = given(*function, place.schema);
  if (schema != nullptr && !schema->is_object()) {
    return bad(inner + "." + std::string{place.schema}, "must be an object");
  }
  return out;
}

}  // namespace

Result<void> read_tools(const Json& body, const ToolPlace& place, ToolUse& out) {
  const Json* tools = given(body, "tools");
  if (tools == nullptr) {
    return {};
  }
  const Json::Array* list = tools->array();
  if (list == nullptr || list->size() > ToolLimits::kTools) {
    return bad("tools",
               "must be an array of at most " + std::to_string(ToolLimits::kTools) + " tools");
  }
  boost::system::error_code ec;
  const bj::value document = bj::parse({place.document.data(), place.document.size()}, ec);
  for (std::size_t i = 0; i < list->size(); ++i) {
    Result<ToolDefinition> tool = read_tool((*list)[i], place, "tools[" + std::to_string(i) + "]");
    if (!tool) {
      return tool.error();
    }
    if (std::any_of(out.tools.begin(), out.tools.end(), [&](const ToolDefinition& other) {
          return other.name == tool->name;
        })) {
      return bad("tools[" + std::to_string(i) + "]", "another tool has the same name");
    }
    tool->schema = schema_text(document, i, place);
    out.tools.push_back(*std::move(tool));
  }
  return {};
}

Result<void> read_tool_choice(const Json& body, ToolUse& out) {
  if (Result<void> done = read_flag(body, "parallel_tool_calls", out.parallel); !done) {
    return done;
  }
  const Json* choice = given(body, "tool_choice");
  if (choice == nullptr) {
    return {};
  }
  if (const std::string* word = choice->string()) {
    if (*word != "none" && *word != "auto" && *word != "required") {
      return bad("tool_choice", "must be \"none\", \"auto\", \"required\" or name a function");
    }
    out.choice = *word == "none"   ? ToolChoice::kNone
                 : *word == "auto" ? ToolChoice::kAuto
                                   : ToolChoice::kRequired;
    return check_tool_choice(out);
  }
  const Json* function = given(*choice, "function");
  const Json& holder = function == nullptr ? *choice : *function;
  out.named = holder.get_string("name").value_or("");
  if (choice->get_string("type").value_or("") != "function" || out.named.empty()) {
    return bad("tool_choice", "must be \"none\", \"auto\", \"required\" or name a function");
  }
  out.choice = ToolChoice::kNamed;
  return check_tool_choice(out);
}

Result<void> check_tool_choice(const ToolUse& use) {
  if (use.choice == ToolChoice::kRequired && use.tools.empty()) {
    return bad("tool_choice", "there are no tools to call");
  }
  const bool there = std::any_of(
      use.tools.begin(), use.tools.end(), [&](const auto& tool) { return tool.name == use.named; });
  if (use.choice == ToolChoice::kNamed && !there) {
    return bad("tool_choice", "there is no tool \"" + use.named.substr(0, 64) + "\"");
  }
  return {};
}

Result<std::string> read_arguments(const Json& value, const std::string& where) {
  if (value.is_object()) {
    return value.dump();
  }
  const std::string* text = value.string();
  if (text == nullptr) {
    return bad(where, "must be a JSON object, or the text of one");
  }
  Result<Json> parsed = Json::parse(text->empty() ? std::string_view{"{}"} : *text);
  if (!parsed || !parsed->is_object()) {
    return bad(where, "must be the text of a JSON object");
  }
  return text->empty() ? std::string{"{}"} : *text;
}

Result<void> read_calls(const Json& message, const std::string& where, ChatMessage& out) {
  const Json* calls = given(message, "tool_calls");
  if (calls == nullptr) {
    return {};
  }
  const Json::Array* list = calls->array();
  if (list == nullptr || list->size() > ToolLimits::kCalls || out.role != "assistant") {
    return bad(where + ".tool_calls",
               "must be an array of at most 128 calls in a message of the assistant's");
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string here = where + ".tool_calls[" + std::to_string(i) + "]";
    const Json* function = given((*list)[i], "function");
    CalledTool call;
    call.id = (*list)[i].get_string("id").value_or("");
    call.name = function == nullptr ? "" : function->get_string("name").value_or("");
    if (!is_tool_name(call.name)) {
      return bad(here + ".function.name", "must be 1 to 64 letters, digits, \"_\" and \"-\"");
    }
    const Json* arguments = given(*function, "arguments");
    Result<std::string> text = arguments == nullptr
                                   ? Result<std::string>{std::string{"{}"}}
                                   : read_arguments(*arguments, here + ".function.arguments");
    if (!text) {
      return text.error();
    }
    call.arguments = *std::move(text);
    out.calls.push_back(std::move(call));
  }
  return {};
}

}  // namespace skerry::agent::fields

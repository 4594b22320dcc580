#pragma once

// Calls of tools: what clients ask for, the grammar that holds a model to it, and how models of
// different families write calls. Answers are read by ChatReader (chat_reader.hpp). Pure. ADR 0112.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/result.hpp"

namespace skerry::agent {

struct ToolLimits {
  static constexpr std::size_t kTools = 128;
  static constexpr std::size_t kCalls = 128;  // of one message
  static constexpr std::size_t kNameBytes = 64;
  static constexpr std::size_t kSchemaBytes = 256U << 10U;  // of all tools that may be called
};

struct ToolDefinition {
  std::string name;
  std::string description;
  // JSON text of the arguments' schema; empty: any object.
  std::string schema;
  // Refuse what a grammar cannot say, rather than take any object for it.
  bool strict = false;

  friend bool operator==(const ToolDefinition&, const ToolDefinition&) = default;
};

enum class ToolChoice : std::uint8_t { kAuto, kNone, kRequired, kNamed };

struct ToolUse {
  std::vector<ToolDefinition> tools;
  ToolChoice choice = ToolChoice::kAuto;
  std::string named;  // the tool of kNamed
  bool parallel = true;

  // The model is offered the tools.
  [[nodiscard]] bool offered() const { return !tools.empty() && choice != ToolChoice::kNone; }

  friend bool operator==(const ToolUse&, const ToolUse&) = default;
};

// Whom an answer may call: all that are offered, or the one that was chosen.
std::vector<std::string> callable_names(const ToolUse& use);

// A name that every front end and every family can carry: letters, digits, "_" and "-".
bool is_tool_name(std::string_view name);

// OpenAI's JSON array of the tools, which chat templates take. Schemas keep their members' order.
// `with_strict`: says of a strict tool that it is one.
std::string tools_text(const std::vector<ToolDefinition>& tools, bool with_strict = false);

// How a family writes calls.
struct CallSyntax {
  std::string_view name;       // as runtime::to_string(ToolSyntax) has it
  std::string_view mark;       // stands before a call, or before the list of all
  std::string_view arguments;  // the member that holds them
  std::string_view close;      // stands after each call
  bool list = false;           // calls are a JSON array
  bool at_start = false;       // a call is the whole answer and has no mark
  bool fenced = false;         // DeepSeek's: the name, then a code block
};
// Null if calls of that family are not known.
const CallSyntax* call_syntax(std::string_view name);

struct ToolGrammar {
  std::string grammar;
  // As runtime::GenerateRequest has them; both empty: from the answer's beginning.
  std::vector<std::string> triggers;
  std::vector<std::string> starts;
  // What a forced answer begins with.
  std::string answer_begins;
};

// For tools that are offered. kInvalidArgument: a strict tool's schema that cannot be kept, or a
// named tool that is not there.
Result<ToolGrammar> tool_grammar(const ToolUse& use, const CallSyntax& syntax);

}  // namespace skerry::agent

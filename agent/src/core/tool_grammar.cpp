#include <algorithm>
#include <array>
#include <set>

#include "skerry/agent/json_schema.hpp"
#include "skerry/agent/tool_calls.hpp"
#include "skerry/common/error.hpp"
#include "skerry/common/json.hpp"

#include "schema_rules.hpp"

namespace skerry::agent {
namespace {

using schema::quoted;

constexpr std::array<CallSyntax, 5> kSyntaxes{{
    {"hermes", "<tool_call>", "arguments", "</tool_call>", false, false, false},
    {"llama", "", "parameters", "", false, true, false},
    {"mistral", "[TOOL_CALLS]", "arguments", "", true, false, false},
    {"list", "<|tool_call|>", "arguments", "", true, false, false},
    {"deepseek", "<｜tool▁calls▁begin｜>", "", "<｜tool▁calls▁end｜>", false, false, true},
}};
// What is left of a worker's limit (runtime::GrammarLimits) is enough for the calls themselves.
constexpr std::size_t kMostRuleBytes = 208U << 10U;
constexpr std::string_view kBlank = "[ \\n\\t]{0,8}";

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

// "root" and "r<n>" are each schema's own; other rules mean the same in all.
bool is_own_rule(std::string_view name) {
  return name == "root" || (name.size() > 1 && name[0] == 'r' &&
                            name.find_first_not_of("0123456789", 1) == std::string_view::npos);
}

// Puts `prefix` before the schema's own rules, outside of texts and character classes.
std::string renamed(std::string_view line, const std::string& prefix) {
  std::string out;
  char within = '\0';
  for (std::size_t at = 0; at < line.size();) {
    const char c = line[at];
    if (within != '\0') {
      out += c;
      if (c == '\\' && at + 1 < line.size()) {
        out += line[++at];
      } else if (c == within) {
        within = '\0';
      }
      ++at;
      continue;
    }
    if (c == '"' || c == '[') {
      within = c == '"' ? '"' : ']';
    }
    if (!is_word(c)) {
      out += c;
      ++at;
      continue;
    }
    std::size_t end = at;
    while (end < line.size() && is_word(line[end])) {
      ++end;
    }
    const std::string_view word = line.substr(at, end - at);
    out += (is_own_rule(word) ? prefix : std::string{}) + std::string{word};
    at = end;
  }
  return out;
}

// Several schemas' grammars as one: rules that all share come once.
class JoinedRules {
 public:
  // Returns the name of the schema's first rule.
  std::string add(std::string_view grammar) {
    const std::string prefix = "t" + std::to_string(count_++) + "-";
    while (!grammar.empty()) {
      const std::size_t end = std::min(grammar.find('\n'), grammar.size());
      const std::string_view line = grammar.substr(0, end);
      const std::string_view name = line.substr(0, line.find(' '));
      if (is_own_rule(name) || shared_.emplace(name).second) {
        text_ += renamed(line, prefix) + "\n";
      }
      grammar.remove_prefix(std::min(end + 1, grammar.size()));
    }
    return prefix + "root";
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::set<std::string, std::less<>> shared_;
  int count_ = 0;
};

Result<std::string> arguments_grammar(const ToolDefinition& tool) {
  if (tool.schema.empty()) {
    return json_object_grammar();
  }
  Result<std::string> made = schema_grammar(tool.schema, "tools." + tool.name + ".parameters");
  if (!made && !tool.strict) {
    return json_object_grammar();
  }
  return made;
}

Error too_large() {
  return Error{Error::Code::kInvalidArgument,
               "tools: their schemas are too large together: offer fewer tools, or simpler ones"};
}

std::string call_body(const ToolDefinition& tool,
                      const CallSyntax& syntax,
                      const std::string& arguments) {
  if (syntax.fenced) {
    return quoted("<｜tool▁call▁begin｜>function<｜tool▁sep｜>" + tool.name + "\n```json\n") + " " +
           arguments + " " + quoted("\n```<｜tool▁call▁end｜>");
  }
  const auto member = [](std::string_view name) {
    return quoted("\"" + std::string{name} + "\"") + " blank \":\" blank ";
  };
  std::string body = "\"{\" blank " + member("name") + quoted("\"" + tool.name + "\"") +
                     " blank \",\" blank " + member(syntax.arguments) + arguments + " blank ";
  if (syntax.name == "mistral") {
    body += "(\",\" blank " + member("id") + "\"\\\"\" [a-zA-Z0-9]{9} \"\\\"\" blank)? ";
  }
  return body + "\"}\"";
}

// The rule that begins the answer; `marked`: it takes the mark.
std::string root_rule(const CallSyntax& syntax, bool parallel, bool marked) {
  const std::string mark = syntax.mark.empty() ? "" : quoted(syntax.mark);
  std::string body = marked && !mark.empty() ? mark + " " : "";
  if (syntax.list) {
    return body + "blank \"[\" blank call " + (parallel ? "(blank \",\" blank call)* " : "") +
           "blank \"]\"";
  }
  if (syntax.fenced) {
    return body + "call " + (parallel ? "(\"\\n\" call)* " : "") + quoted(syntax.close);
  }
  if (syntax.at_start) {
    return "call";
  }
  body += "blank call blank " + quoted(syntax.close);
  return parallel ? body + " (blank " + mark + " blank call blank " + quoted(syntax.close) + ")*"
                  : body;
}

}  // namespace

bool is_tool_name(std::string_view name) {
  return !name.empty() && name.size() <= ToolLimits::kNameBytes &&
         std::all_of(name.begin(), name.end(), is_word);
}

std::vector<std::string> callable_names(const ToolUse& use) {
  std::vector<std::string> names;
  for (const ToolDefinition& tool : use.tools) {
    if (use.offered() && (use.choice != ToolChoice::kNamed || tool.name == use.named)) {
      names.push_back(tool.name);
    }
  }
  return names;
}

std::string tools_text(const std::vector<ToolDefinition>& tools, bool with_strict) {
  std::string out;
  for (const ToolDefinition& tool : tools) {
    out += out.empty() ? "[" : ",";
    out += R"({"type":"function","function":{"name":)" + Json{tool.name}.dump() +
           R"(,"description":)" + Json{tool.description}.dump() + R"(,"parameters":)" +
           (tool.schema.empty() ? R"({"type":"object","properties":{}})" : tool.schema) +
           (with_strict && tool.strict ? R"(,"strict":true}})" : "}}");
  }
  return out.empty() ? out : out + "]";
}

const CallSyntax* call_syntax(std::string_view name) {
  const auto found = std::find_if(kSyntaxes.begin(), kSyntaxes.end(), [name](const auto& syntax) {
    return syntax.name == name;
  });
  return found == kSyntaxes.end() ? nullptr : &*found;
}

Result<ToolGrammar> tool_grammar(const ToolUse& use, const CallSyntax& syntax) {
  const bool named = use.choice == ToolChoice::kNamed;
  const bool forced = named || use.choice == ToolChoice::kRequired;
  JoinedRules rules;
  std::string calls;
  std::string bodies;
  std::size_t bytes = 0;
  for (const ToolDefinition& tool : use.tools) {
    if (named && tool.name != use.named) {
      continue;
    }
    // Each is work for the daemon, also one that cannot be kept.
    bytes += tool.schema.size();
    if (bytes > ToolLimits::kSchemaBytes) {
      return too_large();
    }
    Result<std::string> arguments = arguments_grammar(tool);
    if (!arguments) {
      return arguments.error();
    }
    const std::string first = rules.add(*arguments);
    if (rules.text().size() > kMostRuleBytes) {
      return too_large();
    }
    const std::string rule = "call-" + first;
    calls += (calls.empty() ? "" : " | ") + rule;
    bodies += rule + " ::= " + call_body(tool, syntax, first) + "\n";
  }
  if (calls.empty()) {
    return Error{Error::Code::kInvalidArgument,
                 "tool_choice: there is no tool \"" + use.named + "\""};
  }
  ToolGrammar out;
  out.grammar = "root ::= " + root_rule(syntax, use.parallel && !named, !forced) +
                "\ncall ::= " + calls + "\nblank ::= " + std::string{kBlank} + "\n" + bodies +
                rules.text();
  if (forced) {
    out.answer_begins = syntax.mark;
  } else if (syntax.at_start) {
    out.starts = {"{\"name\"",
                  "{ \"name\"",
                  "{\n\"name\"",
                  "{\n  \"name\"",
                  "{\n    \"name\"",
                  "{\n\t\"name\""};
  } else {
    out.triggers = {std::string{syntax.mark}};
  }
  return out;
}

}  // namespace skerry::agent

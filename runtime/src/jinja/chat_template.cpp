#include "skerry/runtime/chat_template.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <optional>

#include "evaluator.hpp"
#include "token.hpp"

namespace skerry::runtime {
namespace {

using jinja::Budget;
using jinja::Dict;
using jinja::List;
using jinja::Value;

// What templates were written against differs in small things. The first form is what Hugging
// Face's transformers give; where the language faults on it, the others are tried.
struct Form {
  bool arguments_as_text = false;  // a call's arguments are the text of an object, not an object
  bool empty_content = false;      // a message of calls alone has the content "", not none
  bool tools_undefined = false;    // no tools are undefined, not none
};

Value given_text(Budget& budget, const std::string& text) {
  ChatText made;
  made.append_given(text);
  return jinja::make_text(budget, std::move(made));
}

// A role that is known is the template's word, not the caller's: some templates make a control
// token of it, as Phi's "<|" + role + "|>".
Value role_value(Budget& budget, const std::string& role) {
  constexpr std::array<std::string_view, 5> kRoles{
      "system", "user", "assistant", "tool", "developer"};
  return std::find(kRoles.begin(), kRoles.end(), role) != kRoles.end()
             ? jinja::make_text(budget, role)
             : given_text(budget, role);
}

void add_member(Budget& budget, Dict& dict, const char* name, Value value) {
  dict.items.emplace_back(jinja::make_text(budget, std::string{name}), std::move(value));
}

Value tool_call_value(Budget& budget, const ToolCall& call, bool as_text) {
  Dict function;
  add_member(budget, function, "name", given_text(budget, call.name));
  const std::string arguments = call.arguments.empty() ? "{}" : call.arguments;
  add_member(budget,
             function,
             "arguments",
             as_text ? given_text(budget, arguments) : jinja::read_json(budget, arguments));
  Dict out;
  add_member(budget, out, "id", given_text(budget, call.id));
  add_member(budget, out, "type", jinja::make_text(budget, std::string{"function"}));
  add_member(budget, out, "function", jinja::make_dict(budget, std::move(function)));
  return jinja::make_dict(budget, std::move(out));
}

// Members that a message does not have are not there at all, as clients send them.
Value message_value(Budget& budget, const ChatMessage& message, const Form& form) {
  Dict out;
  add_member(budget, out, "role", role_value(budget, message.role));
  const bool only_calls =
      message.content.empty() && !message.tool_calls.empty() && !form.empty_content;
  add_member(budget,
             out,
             "content",
             only_calls ? Value{jinja::None{}} : given_text(budget, message.content));
  if (!message.reasoning.empty()) {
    add_member(budget, out, "reasoning_content", given_text(budget, message.reasoning));
  }
  if (!message.tool_calls.empty()) {
    List calls;
    for (const ToolCall& call : message.tool_calls) {
      calls.push_back(tool_call_value(budget, call, form.arguments_as_text));
    }
    add_member(budget, out, "tool_calls", jinja::make_list(budget, std::move(calls)));
  }
  if (!message.tool_call_id.empty()) {
    add_member(budget, out, "tool_call_id", given_text(budget, message.tool_call_id));
  }
  if (!message.name.empty()) {
    add_member(budget, out, "name", given_text(budget, message.name));
  }
  return jinja::make_dict(budget, std::move(out));
}

jinja::Scope variables_of(Budget& budget,
                          const ChatSource& source,
                          const PromptChat& chat,
                          const Form& form) {
  jinja::Scope scope;
  const auto add = [&scope](std::string_view name, Value value) {
    scope.variables.emplace_back(name, std::move(value));
  };
  List messages;
  for (const ChatMessage& message : chat.messages) {
    messages.push_back(message_value(budget, message, form));
  }
  add("messages", jinja::make_list(budget, std::move(messages)));
  if (!chat.tools.empty()) {
    add("tools", jinja::read_json(budget, chat.tools));
  } else if (!form.tools_undefined) {
    add("tools", Value{jinja::None{}});
  }
  add("documents", Value{jinja::None{}});
  add("add_generation_prompt", Value{chat.add_generation_prompt});
  add("bos_token", jinja::make_text(budget, source.begin));
  add("eos_token", jinja::make_text(budget, source.end));
  if (chat.thinking) {
    // Qwen's name for it, and DeepSeek's and Granite's.
    add("enable_thinking", Value{*chat.thinking});
    add("thinking", Value{*chat.thinking});
  }
  add("range", Value{jinja::Builtin::kRange});
  add("dict", Value{jinja::Builtin::kDict});
  add("namespace", Value{jinja::Builtin::kNamespace});
  add("raise_exception", Value{jinja::Builtin::kRaise});
  add("strftime_now", Value{jinja::Builtin::kTime});
  return scope;
}

Error fault_error(const jinja::Fault& fault, std::uint32_t line) {
  if (fault.raised) {
    // What a template says of a chat is meant for who wrote the chat.
    return Error{Error::Code::kInvalidArgument,
                 "the model's chat template refuses this chat: " + fault.message.substr(0, 500)};
  }
  const std::string place = "chat template, line " + std::to_string(line) + ": ";
  if (fault.limit) {
    return Error{Error::Code::kResourceExhausted, place + "this chat takes " + fault.message};
  }
  return Error{Error::Code::kInvalidArgument, place + fault.message.substr(0, 500)};
}

bool calls_tools(const PromptChat& chat) {
  return std::any_of(chat.messages.begin(), chat.messages.end(), [](const ChatMessage& message) {
    return !message.tool_calls.empty();
  });
}

struct Outcome {
  std::optional<ChatText> text;
  std::optional<Error> error;
  bool raised = false;  // by the template itself
  bool faulted = false;
};

// `left`: what the renderings of this chat may still take. What one made is gone before the next,
// but the work was done.
Outcome render_once(const jinja::Program& program,
                    const ChatSource& source,
                    TemplateLimits& left,
                    const PromptChat& chat,
                    const Form& form) {
  Outcome outcome;
  Budget budget(left);
  std::uint32_t line = 1;
  try {
    jinja::Evaluator evaluator(budget, variables_of(budget, source, chat, form), chat.now);
    try {
      outcome.text = evaluator.run(program);
    } catch (...) {
      line = evaluator.line();
      throw;
    }
  } catch (const jinja::Fault& fault) {
    outcome.error = fault_error(fault, line);
    outcome.raised = fault.raised;
    outcome.faulted = !fault.raised && !fault.limit;
  } catch (const std::bad_alloc&) {
    outcome.error = Error{Error::Code::kResourceExhausted,
                          "chat template, line " + std::to_string(line) + ": out of memory"};
  }
  left.work -= std::min(left.work, budget.spent_work());
  return outcome;
}

// The first form that the template can work with; else what it says to the first.
Outcome render_somehow(const jinja::Program& program,
                       const ChatSource& source,
                       TemplateLimits& left,
                       const PromptChat& chat) {
  const unsigned useful = (calls_tools(chat) ? 3U : 0U) | (chat.tools.empty() ? 4U : 0U);
  std::optional<Outcome> first;
  for (unsigned bits = 0; bits < 8; ++bits) {
    if ((bits & ~useful) != 0) {
      continue;
    }
    const Form form{.arguments_as_text = (bits & 1U) != 0,
                    .empty_content = (bits & 2U) != 0,
                    .tools_undefined = (bits & 4U) != 0};
    Outcome outcome = render_once(program, source, left, chat, form);
    if (!outcome.faulted) {
      return outcome;
    }
    if (!first) {
      first = std::move(outcome);
    }
  }
  return *std::move(first);
}

bool has_leading_system(const PromptChat& chat) {
  return chat.messages.size() > 1 && chat.messages[0].role == "system" &&
         chat.messages[1].role == "user";
}

PromptChat with_system_merged(PromptChat chat) {
  chat.messages[1].content = chat.messages[0].content + "\n\n" + chat.messages[1].content;
  chat.messages.erase(chat.messages.begin());
  return chat;
}

}  // namespace

Result<std::shared_ptr<const ChatTemplate>> ChatTemplate::parse(ChatSource source,
                                                                const TemplateLimits& limits) {
  if (source.text.size() > limits.template_bytes) {
    return Error{Error::Code::kInvalidArgument,
                 "chat template: " + std::to_string(source.text.size()) + " bytes, at most " +
                     std::to_string(limits.template_bytes) + " are read"};
  }
  try {
    auto program = jinja::parse_program(source.text, limits);
    return std::shared_ptr<const ChatTemplate>{
        new ChatTemplate{std::move(source), limits, std::move(program)}};
  } catch (const jinja::ParseFault& fault) {
    return Error{Error::Code::kInvalidArgument,
                 "chat template, line " + std::to_string(fault.line) + ": " + fault.message};
  } catch (const std::bad_alloc&) {
    return Error{Error::Code::kResourceExhausted, "chat template: out of memory"};
  }
}

ChatTemplate::ChatTemplate(ChatSource source,
                           const TemplateLimits& limits,
                           std::unique_ptr<jinja::Program> program)
    : source_(std::move(source)), limits_(limits), program_(std::move(program)) {}

ChatTemplate::~ChatTemplate() = default;

Result<ChatText> ChatTemplate::render(const PromptChat& chat) const {
  TemplateLimits left = limits_;
  Outcome outcome = render_somehow(*program_, source_, left, chat);
  if (outcome.raised && has_leading_system(chat)) {
    // Templates without a system role: what it says goes before the first question.
    Outcome merged = render_somehow(*program_, source_, left, with_system_merged(chat));
    if (merged.text) {
      return *std::move(merged.text);
    }
  }
  if (outcome.text) {
    return *std::move(outcome.text);
  }
  return *std::move(outcome.error);
}

}  // namespace skerry::runtime

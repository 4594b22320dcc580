#include "chat_call.hpp"

#include <algorithm>
#include <utility>

namespace skerry::agent {
namespace {

// Letters and digits alone, nine of them: what the strictest template, Mistral's, takes.
constexpr std::size_t kCallIdDigits = 9;

Result<const CallSyntax*> syntax_of(const runtime::ModelInfo& info) {
  const runtime::ToolSyntax style = info.chat_style.tools;
  if (style == runtime::ToolSyntax::kNone) {
    return Error{Error::Code::kInvalidArgument,
                 "tools: this model's chat template takes no tools: choose a model that does"};
  }
  const CallSyntax* const syntax = call_syntax(runtime::to_string(style));
  if (syntax == nullptr) {
    return Error{Error::Code::kInvalidArgument,
                 "tools: the way in which this model writes calls is not known to this server: "
                 "choose another model, or describe the tools in a message"};
  }
  return syntax;
}

Result<void> refuse_format(const runtime::GenerateRequest& request) {
  if (request.grammar.empty()) {
    return {};
  }
  return Error{Error::Code::kInvalidArgument,
               "tools: are not offered together with a format of the answer"};
}

// A server that takes tools as they are reads calls itself.
Result<void> pass_tools(const ToolUse& tools,
                        runtime::PromptChat& chat,
                        const runtime::GenerateRequest& request) {
  if (Result<void> alone = refuse_format(request); !alone) {
    return alone;
  }
  using Choice = runtime::ToolRules::Choice;
  chat.tools = tools_text(tools.tools, true);
  chat.rules.named = tools.named;
  chat.rules.parallel = tools.parallel;
  if (tools.choice == ToolChoice::kRequired || tools.choice == ToolChoice::kNamed) {
    chat.rules.choice = tools.choice == ToolChoice::kNamed ? Choice::kNamed : Choice::kRequired;
  }
  chat.rules.strict = std::any_of(
      tools.tools.begin(), tools.tools.end(), [](const auto& tool) { return tool.strict; });
  return {};
}

Result<void> offer_tools(const ToolUse& tools,
                         const CallSyntax& syntax,
                         runtime::PromptChat& chat,
                         runtime::GenerateRequest& request) {
  if (Result<void> alone = refuse_format(request); !alone) {
    return alone;
  }
  Result<ToolGrammar> made = tool_grammar(tools, syntax);
  if (!made) {
    return made.error();
  }
  chat.tools = tools_text(tools.tools);
  chat.answer_begins = std::move(made->answer_begins);
  request.grammar = std::move(made->grammar);
  request.grammar_triggers = std::move(made->triggers);
  request.grammar_starts = std::move(made->starts);
  return {};
}

}  // namespace

std::string make_call_id(Core& core) {
  return core.random.hex(kCallIdDigits).substr(0, kCallIdDigits);
}

void tell_time(const Core& core, runtime::PromptChat& chat) {
  const auto now = core.clock.wall_now().time_since_epoch();
  chat.now = std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

Result<std::unique_ptr<ChatReader>> prepare_chat(Core& core,
                                                 const runtime::ModelInfo& info,
                                                 const ToolUse& tools,
                                                 runtime::GenerateRequest& request) {
  auto& chat = std::get<runtime::PromptChat>(request.prompt);
  tell_time(core, chat);
  ChatReader::Options options;
  options.thinks = info.chat_style.thinks;
  options.make_id = [&core] { return make_call_id(core); };
  if (info.chat_style.tools == runtime::ToolSyntax::kServer) {
    if (tools.offered()) {
      if (Result<void> passed = pass_tools(tools, chat, request); !passed) {
        return passed.error();
      }
    }
    return std::unique_ptr<ChatReader>{};
  }
  if (tools.offered()) {
    Result<const CallSyntax*> syntax = syntax_of(info);
    if (!syntax) {
      return syntax.error();
    }
    if (Result<void> done = offer_tools(tools, **syntax, chat, request); !done) {
      return done.error();
    }
    options.syntax = *syntax;
    options.names = callable_names(tools);
    options.called = !chat.answer_begins.empty();
  }
  if (!options.thinks && options.syntax == nullptr) {
    return std::unique_ptr<ChatReader>{};
  }
  return std::make_unique<ChatReader>(std::move(options));
}

}  // namespace skerry::agent

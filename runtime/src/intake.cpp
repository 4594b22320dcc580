#include "intake.hpp"

#include <algorithm>
#include <new>
#include <string>

#include "skerry/common/bytes.hpp"

namespace skerry::runtime {
namespace {

using AnyPrompt = std::variant<Prompt, PromptTokens, PromptChat>;

Error invalid_intake(std::string message) {
  return Error{Error::Code::kInvalidArgument, std::move(message)};
}

Result<void> check_tokens(const std::vector<std::int32_t>& tokens, std::uint32_t vocabulary) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || static_cast<std::uint32_t>(tokens[i]) >= vocabulary) {
      return invalid_intake("token " + std::to_string(i) + " is " + std::to_string(tokens[i]) +
                            ", the vocabulary has " + std::to_string(vocabulary));
    }
  }
  return {};
}

Result<ChatTokens> chat_tokens(StepEngine& engine,
                               const SchedulerOptions& options,
                               IntakeState& state,
                               const PromptChat& chat,
                               bool without_thoughts) {
  if (chat.messages.empty()) {
    return invalid_intake("a chat needs at least one message");
  }
  if (!state.chats) {
    auto made = ChatPrompts::make(engine, options.vocabulary);
    if (!made) {
      return made.error();
    }
    state.chats = *std::move(made);
  }
  return state.chats->tokens(engine, chat, without_thoughts);
}

// `without_thoughts`: of a chat whose answer has to follow a grammar from its first token.
Result<ChatTokens> prompt_tokens(StepEngine& engine,
                                 const SchedulerOptions& options,
                                 IntakeState& state,
                                 const AnyPrompt& prompt,
                                 bool without_thoughts = false) {
  if (const auto* chat = std::get_if<PromptChat>(&prompt)) {
    return chat_tokens(engine, options, state, *chat, without_thoughts);
  }
  if (const auto* given = std::get_if<PromptTokens>(&prompt)) {
    if (auto checked = check_tokens(given->tokens, options.vocabulary); !checked) {
      return checked.error();
    }
    return ChatTokens{given->tokens, false};
  }
  auto tokens = engine.tokenize(std::get<Prompt>(prompt).text, true, true);
  if (!tokens) {
    return tokens.error();
  }
  return ChatTokens{*std::move(tokens), false};
}

Result<void> check_triggers(const GenerateRequest& request) {
  const std::size_t count = request.grammar_triggers.size() + request.grammar_starts.size();
  if (count > kMaxTriggers || (count > 0 && request.grammar.empty())) {
    return invalid_intake("at most 16 texts can begin a grammar, and only where there is one");
  }
  for (const auto* list : {&request.grammar_triggers, &request.grammar_starts}) {
    for (const std::string& text : *list) {
      if (text.empty() || text.size() > kMaxStopBytes) {
        return invalid_intake("a text that begins a grammar has 1 to 256 bytes");
      }
    }
  }
  return {};
}

Result<void> check_stop(const std::vector<std::string>& stop) {
  if (stop.size() > kMaxStopStrings) {
    return invalid_intake(std::to_string(stop.size()) +
                          " stop strings are given, at most 16 are allowed");
  }
  for (const std::string& one : stop) {
    if (one.empty() || one.size() > kMaxStopBytes || !is_utf8(one)) {
      return invalid_intake("a stop string must be UTF-8 of 1 to 256 bytes");
    }
  }
  return {};
}

Result<void> check_length(const std::vector<std::int32_t>& tokens,
                          std::uint32_t limit,
                          std::uint32_t context) {
  if (tokens.empty()) {
    return invalid_intake("the prompt is empty");
  }
  if (tokens.size() > limit) {
    return Error{Error::Code::kContextTooLong,
                 "the prompt has " + std::to_string(tokens.size()) +
                     " tokens, the context window holds " + std::to_string(context) +
                     (limit < context ? " and an answer needs at least one" : "")};
  }
  return {};
}

Error cannot(std::string_view what) {
  return Error{Error::Code::kUnimplemented,
               "this model cannot " + std::string{what} + ": choose a model that can"};
}

Result<std::unique_ptr<Constraint>> make_constraint(StepEngine& engine,
                                                    const SchedulerOptions& options,
                                                    IntakeState& state,
                                                    const GenerateRequest& request) try {
  if (request.grammar.empty()) {
    return std::unique_ptr<Constraint>{};
  }
  // Of a chat: the prompt was made before, so its marks are known.
  const bool marked =
      std::holds_alternative<PromptChat>(request.prompt) && !state.chats->shown().empty();
  std::shared_ptr<const Vocabulary>& kept = marked ? state.chat_vocabulary : state.vocabulary;
  if (!kept) {
    auto read = Vocabulary::read(
        engine, options.vocabulary, marked ? state.chats->shown() : ChatPrompts::Marks{});
    if (!read) {
      return read.error();
    }
    kept = *std::move(read);
  }
  auto compiled = state.grammars.get(request.grammar);
  if (!compiled) {
    return compiled.error();
  }
  return Constraint::make(*std::move(compiled), kept);
} catch (const std::bad_alloc&) {
  // The request has not begun: had the worker died of it, those that have would be blamed.
  return no_memory_for_grammar();
}

Result<Sequence> make_generation(StepEngine& engine,
                                 const SchedulerOptions& options,
                                 IntakeState& state,
                                 GenerateRequest& request,
                                 std::uint64_t seed) {
  if (!options.can_generate) {
    return cannot("generate text");
  }
  if (auto checked = check_sampling(request.sampling); !checked) {
    return checked.error();
  }
  if (auto checked = check_stop(request.stop); !checked) {
    return checked.error();
  }
  if (request.log_probs.value_or(0) > kMaxTopLogProbs) {
    return invalid_intake("top_logprobs is " + std::to_string(*request.log_probs) +
                          ", at most 64 is allowed");
  }
  if (auto checked = check_triggers(request); !checked) {
    return checked.error();
  }
  const bool waits = !request.grammar_triggers.empty() || !request.grammar_starts.empty();
  auto prompt =
      prompt_tokens(engine, options, state, request.prompt, !request.grammar.empty() && !waits);
  if (!prompt) {
    return prompt.error();
  }
  std::vector<std::int32_t>* const tokens = &prompt->tokens;
  auto constraint = make_constraint(engine, options, state, request);
  if (!constraint) {
    return constraint.error();
  }
  const std::uint32_t context = options.context_length;
  if (auto checked = check_length(*tokens, context - 1, context); !checked) {
    return checked.error();
  }
  // The last sampled token need not be computed, so it takes no cell; it still counts as context.
  std::uint32_t room = context - static_cast<std::uint32_t>(tokens->size());
  if (request.max_tokens != 0) {
    room = std::min(room, request.max_tokens);
  }
  Sequence sequence{.key = 0,
                    .meta = std::move(request.meta),
                    .work = Generation{.sampler = Sampler{request.sampling, seed},
                                       .filter = TextFilter{std::move(request.stop)},
                                       .limit = room,
                                       .generated = 0,
                                       .next_token = -1,
                                       .unreported = {},
                                       .tokens = {},
                                       .constraint = *std::move(constraint),
                                       .trigger = {},
                                       .shown = nullptr,
                                       .log_probs = request.log_probs,
                                       .unreported_log_probs = {}},
                    .prompts = {}};
  auto& work = std::get<Generation>(sequence.work);
  const bool chat = std::holds_alternative<PromptChat>(request.prompt);
  if (waits) {
    work.trigger.emplace(std::move(request.grammar_triggers),
                         std::move(request.grammar_starts),
                         chat ? state.chats->thoughts(prompt->thinking) : Thoughts::kNone);
  }
  if (chat) {
    work.shown = &state.chats->shown();
  }
  sequence.thinking = prompt->thinking;
  for (const std::int32_t token : *tokens) {
    work.sampler.accept_prompt(token);
  }
  sequence.reserved = static_cast<std::uint32_t>(tokens->size()) + room;
  sequence.prompts.push_back(std::move(*tokens));
  return sequence;
}

Result<Sequence> make_embedding(StepEngine& engine,
                                const SchedulerOptions& options,
                                EmbedRequest& request) {
  if (request.query && !options.can_rank) {
    return cannot("rank documents");
  }
  if (!request.query && !options.can_embed) {
    return cannot("embed");
  }
  if (request.texts.empty() || request.texts.size() > kMaxEmbedTexts) {
    return invalid_intake("an embedding request takes 1 to 1024 texts, " +
                          std::to_string(request.texts.size()) + " are given");
  }
  Sequence sequence{.key = 0, .meta = std::move(request.meta), .work = Embedding{}, .prompts = {}};
  std::get<Embedding>(sequence.work).ranks = request.query.has_value();
  const std::uint32_t limit = options.whole_sequence
                                  ? std::min(options.context_length, options.max_rows)
                                  : options.context_length;
  for (std::size_t i = 0; i < request.texts.size(); ++i) {
    const std::string& text = request.texts[i];
    auto tokens =
        request.query ? engine.pair(*request.query, text) : engine.tokenize(text, true, false);
    if (!tokens) {
      return tokens.error();
    }
    if (auto checked = check_length(*tokens, limit, limit); !checked) {
      std::string which{request.query ? "document " : "text "};
      which.append(std::to_string(i));
      return checked.error().with_context(which);
    }
    sequence.reserved = std::max(sequence.reserved, static_cast<std::uint32_t>(tokens->size()));
    sequence.prompts.push_back(std::move(*tokens));
  }
  return sequence;
}

Result<Sequence> make_scoring(StepEngine& engine,
                              const SchedulerOptions& options,
                              IntakeState& state,
                              ScoreRequest& request) {
  if (!options.can_score) {
    return cannot("score");
  }
  if (request.top > kMaxTopLogProbs) {
    return invalid_intake("top is " + std::to_string(request.top) + ", at most 64 is allowed");
  }
  const AnyPrompt prompt =
      std::visit([](auto& one) -> AnyPrompt { return std::move(one); }, request.prompt);
  auto found = prompt_tokens(engine, options, state, prompt);
  if (!found) {
    return found.error();
  }
  std::vector<std::int32_t>* const tokens = &found->tokens;
  if (auto checked = check_length(*tokens, options.context_length, options.context_length);
      !checked) {
    return checked.error();
  }
  Sequence sequence{.key = 0,
                    .meta = std::move(request.meta),
                    .work = Scoring{.top = request.top, .result = {}},
                    .prompts = {}};
  sequence.reserved = static_cast<std::uint32_t>(tokens->size());
  sequence.prompts.push_back(std::move(*tokens));
  return sequence;
}

}  // namespace

Result<Sequence> make_sequence(StepEngine& engine,
                               const SchedulerOptions& options,
                               IntakeState& state,
                               Request& request,
                               std::uint64_t seed) {
  if (auto* generate = std::get_if<GenerateRequest>(&request)) {
    return make_generation(engine, options, state, *generate, seed);
  }
  if (auto* embed = std::get_if<EmbedRequest>(&request)) {
    return make_embedding(engine, options, *embed);
  }
  if (auto* score = std::get_if<ScoreRequest>(&request)) {
    return make_scoring(engine, options, state, *score);
  }
  return Error{Error::Code::kUnimplemented,
               "this model answers text, not tensors: use generate, embed or score"};
}

Result<Tokens> answer_tokenize(StepEngine& engine,
                               const SchedulerOptions& options,
                               IntakeState& state,
                               const TokenizeRequest& request) {
  auto found = prompt_tokens(engine, options, state, request.input);
  if (!found) {
    return found.error();
  }
  std::vector<std::int32_t>* const tokens = &found->tokens;
  std::string text;
  for (const std::int32_t token : *tokens) {
    auto piece = engine.piece(token);
    if (!piece) {
      return piece.error();
    }
    text += *piece;
  }
  Tokens answer;
  answer.tokens = std::move(*tokens);
  answer.text = to_valid_utf8(text);
  return answer;
}

}  // namespace skerry::runtime

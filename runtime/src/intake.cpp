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

Result<std::vector<std::int32_t>> prompt_tokens(StepEngine& engine,
                                                const SchedulerOptions& options,
                                                const AnyPrompt& prompt) {
  if (const auto* given = std::get_if<PromptTokens>(&prompt)) {
    if (auto checked = check_tokens(given->tokens, options.vocabulary); !checked) {
      return checked.error();
    }
    return given->tokens;
  }
  if (const auto* text = std::get_if<Prompt>(&prompt)) {
    return engine.tokenize(text->text, true, true);
  }
  const auto& chat = std::get<PromptChat>(prompt);
  if (chat.messages.empty()) {
    return invalid_intake("a chat needs at least one message");
  }
  auto rendered = engine.apply_template(chat.messages);
  if (!rendered) {
    return rendered.error().with_context("applying the chat template");
  }
  return engine.tokenize(*rendered, true, true);
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
                                                    std::shared_ptr<const Vocabulary>& vocabulary,
                                                    const std::string& grammar) try {
  if (grammar.empty()) {
    return std::unique_ptr<Constraint>{};
  }
  if (!vocabulary) {
    auto read = Vocabulary::read(engine, options.vocabulary);
    if (!read) {
      return read.error();
    }
    vocabulary = *std::move(read);
  }
  return Constraint::make(grammar, vocabulary);
} catch (const std::bad_alloc&) {
  // The request has not begun: had the worker died of it, those that have would be blamed.
  return no_memory_for_grammar();
}

Result<Sequence> make_generation(StepEngine& engine,
                                 const SchedulerOptions& options,
                                 std::shared_ptr<const Vocabulary>& vocabulary,
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
  auto constraint = make_constraint(engine, options, vocabulary, request.grammar);
  if (!constraint) {
    return constraint.error();
  }
  auto tokens = prompt_tokens(engine, options, request.prompt);
  if (!tokens) {
    return tokens.error();
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
                                       .log_probs = request.log_probs,
                                       .unreported_log_probs = {}},
                    .prompts = {}};
  for (const std::int32_t token : *tokens) {
    std::get<Generation>(sequence.work).sampler.accept_prompt(token);
  }
  sequence.reserved = static_cast<std::uint32_t>(tokens->size()) + room;
  sequence.prompts.push_back(std::move(*tokens));
  return sequence;
}

Result<Sequence> make_embedding(StepEngine& engine,
                                const SchedulerOptions& options,
                                EmbedRequest& request) {
  if (!options.can_embed) {
    return cannot("embed");
  }
  if (request.texts.empty() || request.texts.size() > kMaxEmbedTexts) {
    return invalid_intake("an embedding request takes 1 to 1024 texts, " +
                          std::to_string(request.texts.size()) + " are given");
  }
  Sequence sequence{.key = 0, .meta = std::move(request.meta), .work = Embedding{}, .prompts = {}};
  const std::uint32_t limit = options.whole_sequence
                                  ? std::min(options.context_length, options.max_rows)
                                  : options.context_length;
  for (std::size_t i = 0; i < request.texts.size(); ++i) {
    auto tokens = engine.tokenize(request.texts[i], true, false);
    if (!tokens) {
      return tokens.error();
    }
    if (auto checked = check_length(*tokens, limit, limit); !checked) {
      return checked.error().with_context("text " + std::to_string(i));
    }
    sequence.reserved = std::max(sequence.reserved, static_cast<std::uint32_t>(tokens->size()));
    sequence.prompts.push_back(std::move(*tokens));
  }
  return sequence;
}

Result<Sequence> make_scoring(StepEngine& engine,
                              const SchedulerOptions& options,
                              ScoreRequest& request) {
  if (!options.can_score) {
    return cannot("score");
  }
  if (request.top > kMaxTopLogProbs) {
    return invalid_intake("top is " + std::to_string(request.top) + ", at most 64 is allowed");
  }
  const AnyPrompt prompt =
      std::visit([](auto& one) -> AnyPrompt { return std::move(one); }, request.prompt);
  auto tokens = prompt_tokens(engine, options, prompt);
  if (!tokens) {
    return tokens.error();
  }
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
                               std::shared_ptr<const Vocabulary>& vocabulary,
                               Request& request,
                               std::uint64_t seed) {
  if (auto* generate = std::get_if<GenerateRequest>(&request)) {
    return make_generation(engine, options, vocabulary, *generate, seed);
  }
  if (auto* embed = std::get_if<EmbedRequest>(&request)) {
    return make_embedding(engine, options, *embed);
  }
  if (auto* score = std::get_if<ScoreRequest>(&request)) {
    return make_scoring(engine, options, *score);
  }
  return Error{Error::Code::kUnimplemented,
               "this model answers text, not tensors: use generate, embed or score"};
}

Result<Tokens> answer_tokenize(StepEngine& engine,
                               const SchedulerOptions& options,
                               const TokenizeRequest& request) {
  auto tokens = prompt_tokens(engine, options, request.input);
  if (!tokens) {
    return tokens.error();
  }
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

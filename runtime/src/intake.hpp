#pragma once

// Turns a request into a sequence: checks it, renders and tokenizes its prompt.

#include "skerry/runtime/scheduler.hpp"

#include "grammar_shelf.hpp"
#include "sequence.hpp"

namespace skerry::runtime {

inline constexpr std::size_t kMaxStopStrings = 16;
inline constexpr std::size_t kMaxStopBytes = 256;
inline constexpr std::size_t kMaxEmbedTexts = 1024;
inline constexpr std::uint32_t kMaxTopLogProbs = 64;
inline constexpr std::size_t kMaxTriggers = 16;

// What is read of the model when it is first needed, and kept.
struct IntakeState {
  std::unique_ptr<ChatPrompts> chats;
  // Once a grammar needed it: for plain prompts, and for chats of a model whose answers have
  // control tokens that are text.
  std::shared_ptr<const Vocabulary> vocabulary;
  std::shared_ptr<const Vocabulary> chat_vocabulary;
  GrammarShelf grammars;
};

// `seed` serves a generation that names none. `state` outlives the sequence.
Result<Sequence> make_sequence(StepEngine& engine,
                               const SchedulerOptions& options,
                               IntakeState& state,
                               Request& request,
                               std::uint64_t seed);

Result<Tokens> answer_tokenize(StepEngine& engine,
                               const SchedulerOptions& options,
                               IntakeState& state,
                               const TokenizeRequest& request);

}  // namespace skerry::runtime

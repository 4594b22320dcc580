#pragma once

// Turns a request into a sequence: checks it, renders and tokenizes its prompt.

#include "skerry/runtime/scheduler.hpp"

#include "sequence.hpp"

namespace skerry::runtime {

inline constexpr std::size_t kMaxStopStrings = 16;
inline constexpr std::size_t kMaxStopBytes = 256;
inline constexpr std::size_t kMaxEmbedTexts = 1024;
inline constexpr std::uint32_t kMaxTopLogProbs = 64;

// `seed` serves a generation that names none. `vocabulary` is read for the first grammar and kept.
Result<Sequence> make_sequence(StepEngine& engine,
                               const SchedulerOptions& options,
                               std::shared_ptr<const Vocabulary>& vocabulary,
                               Request& request,
                               std::uint64_t seed);

Result<Tokens> answer_tokenize(StepEngine& engine,
                               const SchedulerOptions& options,
                               const TokenizeRequest& request);

}  // namespace skerry::runtime

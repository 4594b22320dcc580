#include "sequence.hpp"

#include <algorithm>
#include <iterator>
#include <new>

#include "sequence_embed.hpp"

namespace skerry::runtime {
namespace {

std::chrono::nanoseconds between(BootTime from, BootTime to) {
  return to > from ? to - from : std::chrono::nanoseconds{0};
}

void emit_text(Sequence& sequence,
               Generation& work,
               std::string text,
               const Scheduler::Emit& emit) {
  if (text.empty() && work.unreported.empty()) {
    return;
  }
  TextDelta delta;
  delta.text = std::move(text);
  delta.tokens = std::exchange(work.unreported, {});
  delta.log_probs = std::exchange(work.unreported_log_probs, {});
  emit(sequence.key, std::move(delta));
}

Error no_finite_logits() {
  return Error{Error::Code::kInternal, "the model gave no finite logits: its weights are damaged"};
}

Error no_token_to_go_on() {
  return Error{Error::Code::kInvalidArgument,
               "grammar: this model has no token to go on with here: it asks for text that the "
               "vocabulary cannot write"};
}

// A token's part of the answer's text.
Result<std::string> text_piece(const Generation& work, StepEngine& engine, std::int32_t token) {
  if (work.shown != nullptr) {
    if (const auto mark = work.shown->find(token); mark != work.shown->end()) {
      return mark->second;
    }
  }
  return engine.piece(token);
}

// The model says again and again what its grammar begins with, and never so that the grammar could
// go on: the grammar takes over before that token. `begun`: what the answer said of the beginning.
// -1: the grammar does not begin so.
Result<std::int32_t> begin_bound(Generation& work,
                                 std::span<const float> logits,
                                 std::string_view begun) {
  Result<bool> taken = work.constraint->begin_with(begun);
  if (!taken) {
    return taken.error();
  }
  if (!*taken) {
    return -1;
  }
  work.trigger.reset();
  auto all = work.constraint->allowed();
  if (!all) {
    return all.error();
  }
  const std::int32_t token = work.sampler.sample(logits, *all);
  if (token < 0) {
    return no_token_to_go_on();
  }
  if (Result<void> accepted = work.constraint->accept(token); !accepted) {
    return accepted.error();
  }
  return token;
}

// Draws from an answer that is free until it says what its grammar begins with. A token that says
// it in a way in which the grammar cannot go on is not drawn; where that happens again and again,
// the grammar begins before it.
Result<std::int32_t> draw_waiting(Generation& work,
                                  StepEngine& engine,
                                  std::span<const float> logits) try {
  constexpr int kMostRefused = 8;
  std::vector<std::uint8_t> allowed;
  for (int refused = 0;; ++refused) {
    const std::int32_t token = work.sampler.sample(logits, allowed);
    if (token < 0 || engine.is_end(token)) {
      return token;
    }
    auto piece = text_piece(work, engine, token);
    if (!piece) {
      return piece.error();
    }
    const auto pulled = work.trigger->pulled_by(*piece);
    if (!pulled) {
      work.trigger->passed(*piece);
      return token;
    }
    auto taken = work.constraint->begin_with(*pulled);
    if (!taken) {
      return taken.error();
    }
    if (*taken) {
      work.trigger.reset();
      return token;
    }
    if (refused == kMostRefused) {
      const std::size_t begun = pulled->size() - std::min(pulled->size(), piece->size());
      auto bound = begin_bound(work, logits, std::string_view{*pulled}.substr(0, begun));
      if (!bound || *bound >= 0) {
        return bound;
      }
      // A grammar that does not begin with its own trigger holds nothing.
      work.trigger.reset();
      work.constraint.reset();
      return token;
    }
    allowed.resize(logits.size(), 1);
    allowed[static_cast<std::size_t>(token)] = 0;
  }
} catch (const std::bad_alloc&) {
  return no_memory_for_grammar();
}

// `token`, or another one that the grammar allows.
Result<std::int32_t> bind_token(Generation& work,
                                std::span<const float> logits,
                                std::int32_t token) try {
  Result<bool> allowed = work.constraint->allows(token);
  if (!allowed) {
    return allowed.error();
  }
  if (*allowed) {
    return token;
  }
  auto all = work.constraint->allowed();
  if (!all) {
    return all.error();
  }
  const std::int32_t bound = work.sampler.sample(logits, *all);
  if (bound < 0) {
    return no_token_to_go_on();
  }
  return bound;
} catch (const std::bad_alloc&) {
  return no_memory_for_grammar();
}

Result<void> accept_token(Constraint& constraint, std::int32_t token) try {
  return constraint.accept(token);
} catch (const std::bad_alloc&) {
  return no_memory_for_grammar();
}

// Draws freely, and again among what the grammar allows if it refuses that: each allowed token
// keeps its share, and the vocabulary is walked through only when it must be.
Result<std::int32_t> draw_token(Generation& work, std::span<const float> logits) {
  const std::int32_t token = work.sampler.sample(logits);
  if (token < 0) {
    return no_finite_logits();
  }
  return work.constraint ? bind_token(work, logits, token) : Result<std::int32_t>{token};
}

void add_log_probs(Generation& work, StepEngine& engine, std::span<const float> logits) {
  LogProbs found = log_probs(logits, work.next_token, *work.log_probs);
  TokenLogProb out;
  const auto choice = [&engine](std::int32_t token, float log_prob) {
    Result<std::string> piece = engine.piece(token);
    return TokenLogProb::Choice{token, std::move(piece).value_or(std::string{}), log_prob};
  };
  out.chosen = choice(work.next_token, found.of_token);
  for (const auto& [token, log_prob] : found.top) {
    out.top.push_back(choice(token, log_prob));
  }
  work.unreported_log_probs.push_back(std::move(out));
}

Verdict take_sample(Sequence& sequence,
                    Generation& work,
                    StepEngine& engine,
                    std::size_t row,
                    const Scheduler::Emit& emit) {
  const std::span<const float> logits = engine.logits(row);
  const bool waiting = work.trigger.has_value();
  if (work.constraint && !waiting && work.constraint->complete()) {
    return {.finished = FinishReason::kStop, .failed = {}};  // a grammar of nothing but ""
  }
  const Result<std::int32_t> drawn =
      waiting ? draw_waiting(work, engine, logits) : draw_token(work, logits);
  if (!drawn) {
    return {.finished = {}, .failed = drawn.error()};
  }
  const std::int32_t token = *drawn;
  if (token < 0) {
    return {.finished = {}, .failed = no_finite_logits()};
  }
  if (engine.is_end(token)) {
    return {.finished = FinishReason::kStop, .failed = {}};
  }
  if (work.constraint && !waiting) {
    if (Result<void> accepted = accept_token(*work.constraint, token); !accepted) {
      return {.finished = {}, .failed = accepted.error()};
    }
  }
  work.sampler.accept(token);
  work.next_token = token;
  work.unreported.push_back(token);
  work.tokens.push_back(token);
  ++work.generated;
  if (work.log_probs) {
    add_log_probs(work, engine, logits);
  }
  auto piece = text_piece(work, engine, token);
  if (!piece) {
    return {.finished = {}, .failed = piece.error()};
  }
  std::string text = work.filter.push(*piece);
  if (!text.empty()) {
    emit_text(sequence, work, std::move(text), emit);
  }
  const bool complete = work.constraint && !work.trigger && work.constraint->complete();
  if (work.filter.stopped() || complete) {
    return {.finished = FinishReason::kStop, .failed = {}};
  }
  if (work.generated >= work.limit) {
    return {.finished = FinishReason::kLength, .failed = {}};
  }
  return {};
}

void join(TextDelta& all, TextDelta next) {
  all.text += next.text;
  all.tokens.insert(all.tokens.end(), next.tokens.begin(), next.tokens.end());
  std::move(next.log_probs.begin(), next.log_probs.end(), std::back_inserter(all.log_probs));
}

// Of a sequence that generates: the row of its last token, and those of guesses that follow it.
// Each is sampled from as if it had been computed alone, while the guess before it is what was
// drawn: nothing depends on whether there were guesses. What comes of one batch is told at once.
Verdict take_samples(Sequence& sequence,
                     Generation& work,
                     StepEngine& engine,
                     std::size_t row,
                     const Scheduler::Emit& emit) {
  Draft& draft = work.draft;
  if (draft.guess.empty()) {
    return take_sample(sequence, work, engine, row, emit);
  }
  TextDelta together;
  const Scheduler::Emit gather = [&together](RequestKey, Event event) {
    join(together, std::get<TextDelta>(std::move(event)));
  };
  sequence.computed -= draft.guess.size();
  Verdict verdict = take_sample(sequence, work, engine, row, gather);
  for (const std::int32_t guess : draft.guess) {
    if (verdict.finished || verdict.failed) {
      break;
    }
    if (guess != work.next_token) {
      draft.missed = true;
      break;
    }
    ++draft.hits;
    ++sequence.computed;
    verdict = take_sample(sequence, work, engine, row + draft.hits, gather);
  }
  if (draft.hits < draft.guess.size()) {
    engine.trim_sequence(sequence.slot, sequence.computed);
  }
  if (!together.tokens.empty()) {
    emit(sequence.key, std::move(together));
  }
  ++draft.batches;
  draft.guessed += static_cast<std::uint32_t>(draft.guess.size());
  draft.accepted += static_cast<std::uint32_t>(draft.hits);
  return verdict;
}

Verdict take_scores(
    Sequence& sequence, Scoring& work, StepEngine& engine, std::size_t first, std::size_t count) {
  const std::vector<std::int32_t>& prompt = sequence.prompt();
  if (work.result.tokens.empty()) {
    work.result.tokens.push_back({prompt[0], 0.0F, {}});
  }
  for (std::size_t row = first; row < first + count; ++row) {
    const std::size_t next = sequence.computed - count + (row - first) + 1;
    if (next >= prompt.size()) {
      break;
    }
    LogProbs probs = log_probs(engine.logits(row), prompt[next], work.top);
    work.result.tokens.push_back({prompt[next], probs.of_token, std::move(probs.top)});
  }
  if (sequence.computed == prompt.size()) {
    return {.finished = FinishReason::kStop, .failed = {}};
  }
  return {};
}

}  // namespace

const std::vector<std::int32_t>& Sequence::prompt() const {
  const auto* embedding = std::get_if<Embedding>(&work);
  return prompts[embedding != nullptr ? embedding->text : 0];
}

std::size_t Sequence::reusable() const {
  const std::size_t blocks = (prompt().size() - 1) / PrefixChain::kBlock;
  return std::min(blocks * PrefixChain::kBlock, chain.tokens());
}

bool Sequence::decoding() const {
  return std::holds_alternative<Generation>(work) && computed >= prompt().size();
}

std::uint32_t Sequence::prompt_tokens() const {
  if (own_prompt != 0) {
    return static_cast<std::uint32_t>(own_prompt);
  }
  std::size_t count = 0;
  for (const auto& tokens : prompts) {
    count += tokens.size();
  }
  return static_cast<std::uint32_t>(count);
}

std::size_t append_rows(const Sequence& sequence, std::size_t budget, std::vector<Row>& rows) {
  if (sequence.decoding()) {
    const auto& work = std::get<Generation>(sequence.work);
    auto position = static_cast<std::int32_t>(sequence.computed);
    rows.push_back({sequence.slot, position, work.next_token, Want::kLogits});
    for (const std::int32_t guess : work.draft.guess) {
      rows.push_back({sequence.slot, ++position, guess, Want::kLogits});
    }
    return 1 + work.draft.guess.size();
  }
  const std::vector<std::int32_t>& prompt = sequence.prompt();
  const std::size_t count = std::min(budget, prompt.size() - sequence.computed);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t position = sequence.computed + i;
    const bool last = position + 1 == prompt.size();
    Want want = last ? Want::kLogits : Want::kNothing;
    if (const auto* embedding = std::get_if<Embedding>(&sequence.work)) {
      want = last || !embedding->ranks ? Want::kEmbedding : Want::kNothing;
    } else if (sequence.scores()) {
      want = Want::kLogits;
    }
    rows.push_back({sequence.slot, static_cast<std::int32_t>(position), prompt[position], want});
  }
  return count;
}

Verdict take_results(Sequence& sequence,
                     StepEngine& engine,
                     std::size_t first,
                     std::size_t count,
                     BootTime now,
                     const Scheduler::Emit& emit) {
  sequence.computed += count;
  if (auto* embedding = std::get_if<Embedding>(&sequence.work)) {
    return take_embeddings(sequence, *embedding, engine, first, count);
  }
  if (auto* scoring = std::get_if<Scoring>(&sequence.work)) {
    return take_scores(sequence, *scoring, engine, first, count);
  }
  if (sequence.computed < sequence.prompt().size()) {
    return {};
  }
  if (sequence.answered == BootTime{0}) {
    sequence.answered = now;
  }
  auto& work = std::get<Generation>(sequence.work);
  const std::size_t row = first + count - 1 - work.draft.guess.size();
  return take_samples(sequence, work, engine, row, emit);
}

void send_back(Sequence& sequence) {
  std::vector<std::int32_t>& prompt = sequence.prompts[0];
  if (sequence.own_prompt == 0) {
    sequence.own_prompt = prompt.size();
  }
  const std::vector<std::int32_t>& sampled = std::get<Generation>(sequence.work).tokens;
  prompt.resize(sequence.own_prompt);
  prompt.insert(prompt.end(), sampled.begin(), sampled.end());
  sequence.computed = 0;
  ++sequence.sent_back;
}

void finish_sequence(Sequence& sequence,
                     FinishReason reason,
                     BootTime now,
                     const Scheduler::Emit& emit) {
  Done done;
  done.reason = reason;
  done.usage.prompt_tokens = sequence.prompt_tokens();
  done.usage.cached_tokens = sequence.cached_tokens;
  if (auto* work = std::get_if<Generation>(&sequence.work)) {
    emit_text(sequence, *work, work->filter.finish(), emit);
    done.usage.completion_tokens = work->generated;
    done.usage.drafts = work->draft.batches;
    done.usage.draft_tokens = work->draft.guessed;
    done.usage.accepted_tokens = work->draft.accepted;
    done.stop_match = work->filter.match();
  } else if (reason == FinishReason::kStop) {
    if (auto* embedding = std::get_if<Embedding>(&sequence.work)) {
      emit(sequence.key, std::move(embedding->result));
    } else {
      emit(sequence.key, std::move(std::get<Scoring>(sequence.work).result));
    }
  }
  const BootTime answered = sequence.answered == BootTime{0} ? now : sequence.answered;
  done.timing.queue = between(sequence.submitted, sequence.started);
  done.timing.prefill = between(sequence.started, answered);
  done.timing.decode = between(answered, now);
  done.timing.total = between(sequence.submitted, now);
  emit(sequence.key, std::move(done));
}

}  // namespace skerry::runtime

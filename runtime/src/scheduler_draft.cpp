// What is guessed beside the rows that are computed anyway, and what that was worth. Others' tokens
// come first: no guesses while prompts are read in, none that would keep a batch beyond the time
// between two tokens. ADR 0110.

#include <algorithm>
#include <span>

#include "ngram.hpp"
#include "scheduler_impl.hpp"

namespace skerry::runtime {
namespace {

// Of one sequence: with its own token two quads of rows, the unit of the engines' matrix kernels.
constexpr std::size_t kMostGuessed = 7;
// Rows of a batch with guesses: more are a full batch.
constexpr std::size_t kFullBatch = 32;

}  // namespace

// Before each batch: what of it is guessed. Afterwards `plain` is what it would be without.
void Scheduler::Impl::guess() {
  std::size_t generating = 0;
  for (const auto& sequence : running) {
    if (auto* work = std::get_if<Generation>(&sequence->work)) {
      work->draft.guess.clear();
      work->draft.hits = 0;
      work->draft.missed = false;
    }
    generating += sequence->decoding() ? 1U : 0U;
  }
  plain = {.sequences = generating, .seconds = cost.seconds(generating, 0).value_or(0)};
  const bool reads = generating < running.size();
  if (!drafting || !drafts.open() || reads || plain.seconds <= 0) {
    return;
  }
  std::size_t rows = generating;
  for (const auto& sequence : running) {
    rows += guess_for(*sequence, rows);
  }
}

// How many tokens; `rows` are in the batch already.
std::size_t Scheduler::Impl::guess_for(Sequence& sequence, std::size_t rows) {
  auto& work = std::get<Generation>(sequence.work);
  const std::size_t all =
      std::min<std::size_t>({options.max_rows, options.shared_rows, kFullBatch});
  const std::size_t room = all - std::min(all, rows);
  // The last token that may be answered is sampled, not computed.
  const std::size_t wanted = work.limit - std::min(work.limit, work.generated + 1);
  const std::size_t most = std::min({room, wanted, kMostGuessed});
  const double limit = std::chrono::duration<double>(options.inter_token_target).count();
  const std::size_t count = drafts.choose(work.draft, most, rows, plain, cost, limit);
  if (count == 0) {
    return 0;
  }
  const std::vector<std::int32_t>& prompt = sequence.prompt();
  const std::size_t own = sequence.own_prompt != 0 ? sequence.own_prompt : prompt.size();
  work.draft.guess = guess_next(TokenTrail{std::span{prompt}.first(own), work.tokens}, count);
  return work.draft.guess.size();
}

// After a batch whose results were taken.
void Scheduler::Impl::settle(const Batch& batch) {
  const double seconds = std::chrono::duration<double>(last.time).count();
  if (last.drafted == 0) {
    if (last.generating > 0 && last.generating == last.rows) {
      drafts.plain_batch(seconds);
    }
    return;
  }
  drafts.count_batch();
  const double each = (seconds - plain.seconds) / static_cast<double>(last.drafted);
  for (const Share& share : batch.shares) {
    auto* work = std::get_if<Generation>(&share.sequence->work);
    if (work == nullptr || work->draft.guess.empty()) {
      continue;
    }
    Draft& draft = work->draft;
    drafts.settle(draft, each * static_cast<double>(draft.guess.size()), plain);
    if (share.sequence->slot != kNoSlot) {
      shares.charge(share.sequence->meta.principal, draft.hits, 0);
    }
  }
}

}  // namespace skerry::runtime

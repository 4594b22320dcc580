// What a batch holds: a row for everyone who generates, then prompt rows as many as keep the time
// between two tokens within its target.

#include <algorithm>
#include <tuple>

#include "scheduler_impl.hpp"

namespace skerry::runtime {
namespace {

// Nobody waits for a token: only cancelling and starting do, which may take this many targets.
constexpr double kLoneTargets = 4;
// However many generate, prompts get on: by a quarter of a tile at least.
constexpr std::size_t kLeastPromptPart = 4;

}  // namespace

// The most rows, generating ones included, in whole tiles of `shared_rows` and at least one: a
// smaller chunk costs more for each row than it gives back to the others.
std::size_t Scheduler::Impl::batch_rows(std::size_t generating) const {
  const std::size_t most = options.max_rows;
  const std::size_t tile =
      std::max<std::size_t>(std::min<std::size_t>(options.shared_rows, most), 1);
  if (!cost.seconds(generating, 1)) {
    return generating > 0 ? tile : most;
  }
  const double target = std::chrono::duration<double>(options.inter_token_target).count() *
                        (generating > 0 ? 1.0 : kLoneTargets);
  std::size_t rows = tile;
  while (rows + tile <= most &&
         *cost.seconds(generating, rows + tile - std::min(generating, rows)) <= target) {
    rows += tile;
  }
  // The rest of a batch that is no multiple of a tile, where everything fits.
  return rows + tile > most && *cost.seconds(generating, most) <= target ? most : rows;
}

std::vector<Sequence*> Scheduler::Impl::prompts(bool embeddings) const {
  const BootTime now = clock.boot_now();
  std::vector<Sequence*> list;
  for (const auto& sequence : running) {
    if (!sequence->decoding() && sequence->embeds() == embeddings) {
      list.push_back(sequence.get());
    }
  }
  std::stable_sort(list.begin(), list.end(), [&](const Sequence* a, const Sequence* b) {
    return std::tuple(rank(*a, now), shares.served(a->meta.principal)) <
           std::tuple(rank(*b, now), shares.served(b->meta.principal));
  });
  return list;
}

Batch Scheduler::Impl::plan(bool embeddings) const {
  Batch batch;
  if (!embeddings) {
    for (const auto& sequence : running) {
      if (sequence->decoding() && batch.rows.size() < options.max_rows) {
        batch.add(*sequence, 1);
      }
    }
  }
  const std::size_t generating = batch.rows.size();
  const std::size_t least = generating + options.shared_rows / kLeastPromptPart;
  const std::size_t total =
      std::min<std::size_t>(std::max(batch_rows(generating), least), options.max_rows);
  const std::vector<Sequence*> waiting = prompts(embeddings);
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    if (waits_for_prefix(waiting, i)) {
      continue;
    }
    Sequence* const sequence = waiting[i];
    const std::size_t used = batch.rows.size();
    std::size_t budget = used < total ? total - used : 0;
    if (sequence->scores()) {
      budget = std::min<std::size_t>(budget, options.shared_rows);
    }
    if (options.whole_sequence) {
      const bool fits = sequence->prompt().size() <= options.max_rows - used;
      budget = fits ? sequence->prompt().size() : 0;
    }
    if (budget > 0) {
      batch.add(*sequence, budget);
    }
  }
  return batch;
}

}  // namespace skerry::runtime

// Who runs: class with ageing, then whoever is furthest behind its fair share, then age; and who
// has to give way.

#include <algorithm>
#include <cstdio>
#include <tuple>
#include <utility>

#include "scheduler_impl.hpp"

namespace skerry::runtime {
namespace {

// A request that was sent back so often is left alone: it would never end.
constexpr std::uint32_t kMostSentBack = 3;
// Estimates are trusted this far when a request is refused for lack of time.
constexpr double kTrust = 0.7;

std::string seconds_text(double seconds) {
  char text[32] = {};
  std::snprintf(text, sizeof text, "%.1f s", seconds);
  return text;
}

std::size_t rows_left(const Sequence& sequence) {
  if (sequence.decoding()) {
    return 0;
  }
  std::size_t rows = sequence.prompt().size() - sequence.computed;
  if (const auto* work = std::get_if<Embedding>(&sequence.work)) {
    for (std::size_t text = work->text + 1; text < sequence.prompts.size(); ++text) {
      rows += sequence.prompts[text].size();
    }
  }
  return rows;
}

}  // namespace

// A class better for each `ageing` that it has waited, so that nobody waits for ever. Whose
// principal has a place for such requests does not starve: a flood's backlog grows old without
// growing better.
PriorityClass Scheduler::Impl::rank(const Sequence& sequence, BootTime now) const {
  const PriorityClass own = sequence.meta.priority;
  const bool waits = sequence.slot == kNoSlot;
  const auto same = [&](const auto& other) {
    return other->meta.principal == sequence.meta.principal && other->meta.priority >= own;
  };
  if (waits && std::any_of(running.begin(), running.end(), same)) {
    return own;
  }
  const BootTime waited = waits ? now - std::max(sequence.submitted, sequence.resumed)
                                : sequence.started - sequence.submitted;
  const std::int64_t better = waited / std::max(options.ageing, BootTime{1});
  return static_cast<PriorityClass>(
      std::max<std::int64_t>(static_cast<std::int64_t>(own) - better, 0));
}

// Places of each principal that waits, runs or is expected back.
std::size_t Scheduler::Impl::fair_places() const {
  std::size_t principals = shares.active();
  for (auto hold = holds.begin(); hold != holds.end(); hold = holds.upper_bound(hold->first)) {
    principals += shares.knows(hold->first) ? 0U : 1U;
  }
  return std::max<std::size_t>(options.max_sequences / std::max<std::size_t>(principals, 1), 1);
}

std::size_t Scheduler::Impl::free_places() const {
  return options.max_sequences - std::min<std::size_t>(options.max_sequences, running.size());
}

// Every free place is kept for others, and `next` is of a principal with its share. Only while
// somebody runs: an idle engine keeps nothing back.
bool Scheduler::Impl::held_for_others(const Sequence& next) const {
  const std::string& principal = next.meta.principal;
  if (running.empty() || shares.running(principal) < fair_places()) {
    return false;
  }
  const auto others = std::count_if(
      holds.begin(), holds.end(), [&](const auto& hold) { return hold.first != principal; });
  return static_cast<std::size_t>(others) >= free_places();
}

Scheduler::Impl::Queue::iterator Scheduler::Impl::choose(BootTime now) {
  const std::size_t fair = fair_places();
  const auto key = [&](const Sequence& sequence) {
    const std::string& principal = sequence.meta.principal;
    return std::tuple(sequence.tier_until.has_value(),
                      rank(sequence, now),
                      shares.running(principal) >= fair,
                      shares.served(principal),
                      shares.running(principal),
                      sequence.submitted);
  };
  return std::min_element(
      queue.begin(), queue.end(), [&](const auto& a, const auto& b) { return key(*a) < key(*b); });
}

// Certain to miss its deadline, as far as the cost of its prompt and of those before it is known.
std::optional<Error> Scheduler::Impl::hopeless(const Sequence& sequence, BootTime now) const {
  if (!sequence.meta.deadline || !cost.prompt_row() || sequence.tier_until) {
    return std::nullopt;
  }
  std::size_t rows = rows_left(sequence);
  if (sequence.slot == kNoSlot) {
    const std::size_t found = sequence.found ? sequence.found->common : 0;
    rows -= std::max(source_for(sequence).tokens, found);
  }
  for (const auto& other : running) {
    rows += rank(*other, now) <= rank(sequence, now) ? rows_left(*other) : 0;
  }
  const double needed = *cost.prompt_row() * static_cast<double>(rows);
  const double left = std::chrono::duration<double>(*sequence.meta.deadline - now).count();
  if (kTrust * needed <= left) {
    return std::nullopt;
  }
  return Error{Error::Code::kDeadlineExceeded,
               "it cannot be answered in time: reading " + std::to_string(rows) +
                   " tokens takes about " + seconds_text(needed) + " here, " + seconds_text(left) +
                   " are left; send a shorter prompt or allow more time"};
}

bool Scheduler::Impl::may_give_way(const Sequence& sequence,
                                   const Sequence& to,
                                   BootTime now) const {
  if (!std::holds_alternative<Generation>(sequence.work) || sequence.sent_back >= kMostSentBack ||
      now - sequence.resumed < options.least_run || sequence.meta.priority < to.meta.priority) {
    return false;
  }
  if (sequence.meta.priority > to.meta.priority) {
    return true;
  }
  // The same class: only from who has more than its share to who has less.
  const std::size_t fair = fair_places();
  return shares.running(sequence.meta.principal) > fair && shares.running(to.meta.principal) < fair;
}

// Sends one back that has less right to its place than `next`. What it had computed is computed
// again later; nothing that was answered changes.
bool Scheduler::Impl::make_way(const Sequence& next, BootTime now) {
  if (next.announced) {
    return false;  // was sent back itself
  }
  std::unique_ptr<Sequence>* victim = nullptr;
  const auto key = [this](const Sequence& sequence) {
    return std::tuple(sequence.meta.priority,
                      shares.running(sequence.meta.principal),
                      -static_cast<std::int64_t>(sequence.computed));
  };
  for (auto& sequence : running) {
    if (may_give_way(*sequence, next, now) && (!victim || key(*sequence) > key(**victim))) {
      victim = &sequence;
    }
  }
  if (victim == nullptr) {
    return false;
  }
  std::unique_ptr<Sequence> sequence = std::move(*victim);
  std::erase(running, nullptr);
  release(*sequence, true);
  send_back(*sequence);
  sequence->chain.extend(sequence->prompt());
  queue.push_back(std::move(sequence));
  return true;
}

void Scheduler::Impl::start(std::unique_ptr<Sequence> sequence, BootTime now) {
  place(*sequence, now);
  sequence->resumed = now;
  reserved += sequence->reserved;
  shares.start(sequence->meta.principal);
  if (const auto hold = holds.find(sequence->meta.principal); hold != holds.end()) {
    holds.erase(hold);
  }
  if (!std::exchange(sequence->announced, true)) {
    sequence->started = now;
    Started started;
    started.thinking = sequence->thinking;
    started.prompt_tokens = sequence->prompt_tokens();
    started.cached_tokens = sequence->cached_tokens;
    started.queue_wait = sequence->started - sequence->submitted;
    emit(sequence->key, started);
  }
  running.push_back(std::move(sequence));
}

bool Scheduler::Impl::start_what_fits() {
  const BootTime now = clock.boot_now();
  bool any = false;
  std::erase_if(holds, [now](const auto& hold) { return hold.second <= now; });
  end_tier_waits(now);
  while (!queue.empty()) {
    auto next = choose(now);
    if ((*next)->tier_until) {
      break;
    }
    if (free_places() == 0) {
      const RequestKey key = (*next)->key;
      if (!make_way(**next, now)) {
        break;
      }
      next = std::find_if(
          queue.begin(), queue.end(), [key](const auto& item) { return item->key == key; });
    }
    if (held_for_others(**next)) {
      break;
    }
    // No overtaking by a smaller one: the chosen one would starve.
    if (reserved + (*next)->reserved > options.context_total && !running.empty()) {
      break;
    }
    std::unique_ptr<Sequence> sequence = std::move(*next);
    queue.erase(next);
    start(std::move(sequence), now);
    any = true;
  }
  return any;
}

}  // namespace skerry::runtime

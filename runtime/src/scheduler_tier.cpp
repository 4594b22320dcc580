// The second tier of the prefix cache: which prompts are looked for in it and wait for its answer,
// what is restored, which idle prefixes are saved, and when. ADR 0103.

#include <algorithm>
#include <utility>

#include "scheduler_impl.hpp"

namespace skerry::runtime {
namespace {

// A state is saved where computing it takes this many times what writing it and reading it back
// does, on storage of a gateway.
constexpr double kWorthwhile = 4;
constexpr double kBytesPerSecond = 200e6;
constexpr double kFixedSeconds = 0.002;
// Names of one look-up; of longer prompts every n-th block is asked for.
constexpr std::size_t kMostNames = 1024;
// Names that are remembered as saved; then all are forgotten, and some may be saved again.
constexpr std::size_t kMostShelved = 16384;

std::chrono::nanoseconds nanoseconds_of(double seconds) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>{std::min(seconds, 1e6)});
}

}  // namespace

// A prompt of which memory has much less than there might be on the tier.
void Scheduler::Impl::ask_tier(Sequence& sequence, BootTime now) {
  const std::size_t most = sequence.chain.tokens() == 0 ? 0 : sequence.reusable();
  if (state_format.empty() || most < options.tier_least ||
      most < source_for(sequence).tokens + options.tier_least) {
    return;
  }
  std::size_t answers = 0;
  for (const auto& other : queue) {
    // One that begins alike has been asked for, and what it gets is shared.
    if (other->tier_until && other->asked_tier &&
        other->chain.common(sequence.chain) >= options.tier_least) {
      sequence.tier_until = other->tier_until;
      return;
    }
    answers += (other->tier_until && other->asked_tier) || other->found ? 1U : 0U;
  }
  // States that wait take memory.
  if (answers >= options.max_sequences) {
    return;
  }
  std::vector<Digest> names =
      sought_names(sequence.chain.names().first(most / PrefixChain::kBlock));
  std::chrono::nanoseconds wait = options.tier_wait;
  if (const auto row = cost.prompt_row()) {
    wait = std::min(wait, nanoseconds_of(*row * static_cast<double>(most)));
  }
  sequence.tier_until = now + wait;
  sequence.asked_tier = true;
  options.tier->find(sequence.key, std::move(names));
}

// The longest prefix comes first.
std::vector<Digest> Scheduler::Impl::sought_names(std::span<const Digest> blocks) {
  const std::size_t stride = (blocks.size() + kMostNames - 1) / kMostNames;
  std::vector<Digest> names;
  for (std::size_t end = blocks.size(); end > 0; end -= std::min(end, stride)) {
    names.push_back(blocks[end - 1]);
  }
  return names;
}

void Scheduler::Impl::found(RequestKey key, FoundPrefix prefix) {
  if ((key & kPinnedKey) != 0) {
    pin_found(key, std::move(prefix));
    return;
  }
  const auto asked = std::find_if(queue.begin(), queue.end(), [key](const auto& sequence) {
    return sequence->key == key && sequence->tier_until && sequence->asked_tier;
  });
  if (asked == queue.end()) {
    return;  // too late, or cancelled
  }
  Sequence& sequence = **asked;
  sequence.tier_until.reset();
  for (const auto& other : queue) {
    if (other->tier_until && !other->asked_tier &&
        other->chain.common(sequence.chain) >= options.tier_least) {
      other->tier_until.reset();
    }
  }
  const bool sensible = prefix.common > 0 && prefix.common % PrefixChain::kBlock == 0 &&
                        prefix.common <= prefix.tokens && prefix.common <= sequence.reusable();
  if (sensible) {
    note_shelved(sequence.chain, prefix.common);
    sequence.found = std::move(prefix);
  }
}

void Scheduler::Impl::end_tier_waits(BootTime now) {
  for (const auto& sequence : queue) {
    if (sequence->tier_until && *sequence->tier_until <= now) {
      sequence->tier_until.reset();
    }
  }
}

// Room for so many more, if kept prefixes may go for it.
bool Scheduler::Impl::has_cells(std::size_t tokens, BootTime now) {
  const std::size_t stays = pool.cells() - pool.kept_cells() + pool.pinned_cells();
  if (stays + tokens > options.context_total) {
    return false;
  }
  while (pool.cells() + tokens > options.context_total && pool.make_room(now)) {
  }
  return pool.cells() + tokens <= options.context_total;
}

// Starts a sequence from what the tier has found, if memory has not got as much meanwhile. True: it
// has its slot.
bool Scheduler::Impl::restore(Sequence& sequence, BootTime now) {
  const std::optional<FoundPrefix> found = std::exchange(sequence.found, std::nullopt);
  if (!found || !caching || found->common < source_for(sequence).tokens + options.tier_least ||
      !has_cells(found->tokens, now)) {
    return false;
  }
  sequence.slot = pool.take(now).value_or(kNoSlot);
  const auto restored = pool.restore(sequence.slot, found->bytes, found->tokens, found->common);
  if (restored) {
    note_reuse(sequence, found->common);
    return true;
  }
  if (restored.error().code() != Error::Code::kResourceExhausted) {
    options.tier->drop(sequence.chain.names()[found->common / PrefixChain::kBlock - 1]);
  }
  adopt(sequence, now);
  return true;
}

// Of a prefix, what the tier should have.
std::size_t Scheduler::Impl::shelved(const PrefixChain& chain) const {
  const auto names = chain.names();
  std::size_t blocks = names.size();
  while (blocks > 0 && !on_tier.contains(names[blocks - 1])) {
    --blocks;
  }
  return blocks * PrefixChain::kBlock;
}

void Scheduler::Impl::note_shelved(const PrefixChain& chain, std::size_t tokens) {
  const auto names = chain.names().first(tokens / PrefixChain::kBlock);
  if (on_tier.size() + names.size() > kMostShelved) {
    on_tier.clear();
  }
  on_tier.insert(names.begin(), names.end());
}

// Seconds that computing a prefix takes, if its state is worth its bytes: what the tier has of it
// already does not count.
std::optional<double> Scheduler::Impl::pays(const SlotPool::Kept& kept, std::uint64_t bytes) const {
  const PrefixChain& chain = kept.chain;
  const auto row = cost.prompt_row();
  // A pinned one is saved by itself: what it is part of may go.
  const std::size_t added = chain.tokens() - (kept.pin != 0 ? 0 : shelved(chain));
  if (!row || added < options.tier_least || bytes > options.tier->largest()) {
    return std::nullopt;
  }
  const double handling = static_cast<double>(bytes) / kBytesPerSecond + kFixedSeconds;
  if (*row * static_cast<double>(added) < kWorthwhile * handling) {
    return std::nullopt;
  }
  return *row * static_cast<double>(chain.tokens());
}

// Saves one idle prefix. Only while there is no request: whoever comes meanwhile waits for the rest
// of it, tens of milliseconds for the largest.
bool Scheduler::Impl::save_due(BootTime now) {
  if (state_format.empty() || !caching || options.tier->busy()) {
    return false;
  }
  const auto due = std::find_if(pool.kept().begin(), pool.kept().end(), [&](const auto& kept) {
    return !kept.settled && kept.used + options.save_after <= now;
  });
  if (due == pool.kept().end()) {
    return false;
  }
  save(*due);
  pool.settle(due->slot);
  return true;
}

// Whatever comes of it, it is not tried again: the prefix is in memory all the same.
void Scheduler::Impl::save(const SlotPool::Kept& kept) {
  const PrefixChain& chain = kept.chain;
  const std::uint32_t slot = kept.slot;
  if (chain.tokens() < options.tier_least) {
    return;
  }
  const auto room = engine.state_size(slot);
  const auto seconds = room ? pays(kept, *room) : std::nullopt;
  if (!seconds) {
    return;
  }
  PrefixState state;
  state.names.assign(chain.names().begin(), chain.names().end());
  state.tokens = static_cast<std::uint32_t>(chain.tokens());
  state.format = state_format;
  state.recompute = nanoseconds_of(*seconds);
  state.pinned = kept.pin != 0;
  const auto saved = options.tier->save(
      std::move(state), static_cast<std::size_t>(*room), [this, slot](std::span<std::uint8_t> out) {
        return engine.save_state(slot, out);
      });
  if (saved) {
    note_shelved(chain, chain.tokens());
  }
}

std::optional<BootTime> Scheduler::Impl::rests_until(BootTime now) const {
  BootTime next = BootTime::max();
  if (!running.empty()) {
    return std::nullopt;
  }
  for (const auto& sequence : queue) {
    if (!sequence->tier_until || sequence->cancelled || *sequence->tier_until <= now) {
      return std::nullopt;
    }
    next = std::min(next, *sequence->tier_until);
  }
  if (queue.empty()) {
    next = std::min(next, pins_rest_until().value_or(next));
  }
  if (queue.empty() && !state_format.empty() && caching && !options.tier->busy()) {
    for (const SlotPool::Kept& kept : pool.kept()) {
      next = kept.settled ? next : std::min(next, BootTime{kept.used + options.save_after});
    }
  }
  return next <= now ? std::nullopt : std::optional<BootTime>{next};
}

}  // namespace skerry::runtime

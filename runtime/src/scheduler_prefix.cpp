// What a request need not compute because the engine has it: prefixes of sequences that run, that
// are being read in just now, or that are idle and kept. ADR 0102.

#include <algorithm>
#include <utility>

#include "scheduler_impl.hpp"

namespace skerry::runtime {
namespace {

// What a sequence that runs holds of its chain.
std::size_t held(const Sequence& sequence) {
  return sequence.computed / PrefixChain::kBlock * PrefixChain::kBlock;
}

}  // namespace

void Scheduler::Impl::name_blocks(Sequence& sequence) const {
  if (!caching || !std::holds_alternative<Generation>(sequence.work)) {
    return;
  }
  sequence.chain = PrefixChain{options.model, sequence.meta.principal, public_blocks};
  sequence.chain.extend(sequence.prompt());
}

// Where most of its prompt can be copied from at this moment.
Scheduler::Impl::Source Scheduler::Impl::source_for(const Sequence& sequence) const {
  return source_of(sequence.chain, sequence.reusable(), &sequence);
}

Scheduler::Impl::Source Scheduler::Impl::source_of(const PrefixChain& chain,
                                                   std::size_t most,
                                                   const Sequence* itself) const {
  Source best;
  const auto offer = [&](std::uint32_t slot, std::size_t tokens, bool kept) {
    if (std::min(tokens, most) > best.tokens) {
      best = {.slot = slot, .tokens = std::min(tokens, most), .kept = kept};
    }
  };
  for (const auto& other : running) {
    if (other.get() != itself && other->slot != kNoSlot) {
      offer(other->slot, std::min(held(*other), other->chain.common(chain)), false);
    }
  }
  for (const SlotPool::Kept& kept : pool.kept()) {
    offer(kept.slot, kept.chain.common(chain), true);
  }
  return best;
}

// Gives a sequence that starts its slot: that of a kept prefix which it goes on from, else an empty
// one.
void Scheduler::Impl::place(Sequence& sequence, BootTime now) {
  if (restore(sequence, now)) {
    return;
  }
  std::optional<std::uint32_t> spare;
  if (const Source source = source_for(sequence); source.kept) {
    const bool last_resort = !pool.has_free() && pool.kept().size() == 1;
    const bool whole = std::any_of(pool.kept().begin(), pool.kept().end(), [&](const auto& kept) {
      return kept.slot == source.slot && kept.pin == 0 && kept.chain.tokens() == source.tokens;
    });
    if (whole || last_resort) {
      pool.take_over(source.slot, source.tokens);
      sequence.slot = source.slot;
      note_reuse(sequence, source.tokens);
      return;
    }
    spare = source.slot;
  }
  // There are as many slots as may run at once, so one is free or kept.
  sequence.slot = pool.take(now, spare).value_or(kNoSlot);
  adopt(sequence, now);
}

void Scheduler::Impl::note_reuse(Sequence& sequence, std::size_t tokens) {
  if (sequence.sent_back == 0) {
    sequence.cached_tokens += static_cast<std::uint32_t>(tokens - sequence.computed);
  }
  sequence.computed = tokens;
}

// Copies what others have of its prompt, if that is a block more than it has itself.
void Scheduler::Impl::adopt(Sequence& sequence, BootTime now) {
  const Source source = caching ? source_for(sequence) : Source{};
  if (source.tokens < sequence.computed + PrefixChain::kBlock) {
    return;
  }
  if (!pool.copy(source.slot, sequence.slot, source.tokens)) {
    // Everything works without; the engine is not asked again.
    sequence.computed = 0;
    caching = false;
    pool.forget_all();
    return;
  }
  note_reuse(sequence, source.tokens);
  if (source.kept) {
    pool.touch(source.slot, now);
  }
}

// One that is served before `list[index]` is reading in what both begin with: reading it twice
// would delay both. Whoever is served first never waits, so somebody always gets on; if the other
// one ends, what it has read is kept and the wait is over.
bool Scheduler::Impl::waits_for_prefix(const std::vector<Sequence*>& list,
                                       std::size_t index) const {
  const Sequence& sequence = *list[index];
  const std::size_t most = caching ? sequence.reusable() : 0;
  if (most < sequence.computed + PrefixChain::kBlock) {
    return false;
  }
  return std::any_of(
      list.begin(), list.begin() + static_cast<std::ptrdiff_t>(index), [&](const Sequence* other) {
        const std::size_t shared = std::min(other->chain.common(sequence.chain), most);
        return shared >= sequence.computed + PrefixChain::kBlock && held(*other) < shared;
      });
}

void Scheduler::Impl::share_prefixes() {
  if (!caching) {
    return;
  }
  const BootTime now = clock.boot_now();
  const std::vector<Sequence*> list = prompts(false);
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (caching && !waits_for_prefix(list, i)) {
      adopt(*list[i], now);
    }
  }
}

// The slot of a sequence that runs no longer: kept with what it holds, if that is worth anything.
void Scheduler::Impl::retire(const Sequence& sequence, bool sound) {
  const auto* work = std::get_if<Generation>(&sequence.work);
  if (!caching || !sound || work == nullptr) {
    pool.give_back(sequence.slot);
    return;
  }
  std::vector<std::int32_t> tokens = sequence.prompt();
  tokens.resize(sequence.own_prompt != 0 ? sequence.own_prompt : tokens.size());
  tokens.insert(tokens.end(), work->tokens.begin(), work->tokens.end());
  tokens.resize(std::min(tokens.size(), sequence.computed));
  PrefixChain chain = sequence.chain;
  chain.extend(tokens);
  chain.cut(tokens.size());
  if (chain.tokens() == 0) {
    pool.give_back(sequence.slot);
    return;
  }
  const BootTime now = clock.boot_now();
  for (const SlotPool::Kept& kept : pool.kept()) {
    if (kept.chain.common(chain) == chain.tokens()) {
      pool.touch(kept.slot, now);
      pool.give_back(sequence.slot);
      return;
    }
  }
  const bool held_elsewhere = std::any_of(running.begin(), running.end(), [&](const auto& other) {
    return other && other.get() != &sequence && other->slot != kNoSlot &&
           std::min(held(*other), other->chain.common(chain)) >= chain.tokens();
  });
  if (held_elsewhere) {
    pool.give_back(sequence.slot);
    return;
  }
  pool.keep(sequence.slot, std::move(chain), now);
  while (options.kept_tokens != 0 &&
         pool.kept_cells() - pool.pinned_cells() > options.kept_tokens && pool.forget_least(now)) {
  }
}

// Requests come before kept prefixes: as many of these go as the batch needs cells.
void Scheduler::Impl::make_cells(std::size_t rows) {
  while (pool.cells() + rows > options.context_total && pool.make_room(clock.boot_now())) {
  }
}

}  // namespace skerry::runtime

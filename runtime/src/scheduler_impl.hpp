#pragma once

// The scheduler's state. scheduler.cpp takes requests in and computes batches, scheduler_start.cpp
// decides who runs, scheduler_plan.cpp what a batch holds, scheduler_draft.cpp what is guessed,
// scheduler_prefix.cpp what need not be computed, scheduler_tier.cpp what is saved elsewhere and
// found there, scheduler_pins.cpp computes what the operator pinned.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "skerry/runtime/scheduler.hpp"

#include "draft_account.hpp"
#include "fair_share.hpp"
#include "intake.hpp"
#include "sequence.hpp"
#include "slot_pool.hpp"
#include "step_cost.hpp"

namespace skerry::runtime {

// A sequence's part of the batch: rows [first, first + count).
struct Share {
  Sequence* sequence = nullptr;
  std::size_t first = 0;
  std::size_t count = 0;
};

struct Batch {
  std::vector<Row> rows;
  std::vector<Share> shares;

  void add(Sequence& sequence, std::size_t budget) {
    const std::size_t first = rows.size();
    const std::size_t count = append_rows(sequence, budget, rows);
    shares.push_back({&sequence, first, count});
  }
  // Before the results are taken, which turns prompts into generations.
  [[nodiscard]] BatchFacts facts(std::chrono::nanoseconds time) const {
    BatchFacts out{.rows = rows.size(), .generating = 0, .drafted = 0, .time = time};
    for (const Share& share : shares) {
      if (share.sequence->decoding()) {
        out.generating += share.count;
        out.drafted += share.count - 1;
      }
    }
    return out;
  }
};

// A pinned prompt. What the engine holds of it is a kept slot of the pool with its number.
struct Pin {
  PinStatus status;
  std::vector<std::int32_t> tokens;  // whole blocks; none: it failed
  PrefixChain chain;
  // While it waits for the second tier's answer, which is asked once for each time that it has to
  // be computed.
  bool asked = false;
  std::optional<BootTime> tier_until;
  std::optional<FoundPrefix> found;
};

struct Scheduler::Impl {
  using Queue = std::deque<std::unique_ptr<Sequence>>;

  Impl(StepEngine& the_engine,
       const SchedulerOptions& the_options,
       const Clock& the_clock,
       Emit the_emit);

  // scheduler.cpp
  void submit(RequestKey key, Request request);
  [[nodiscard]] std::optional<Error> too_many_grammars(const Sequence& sequence) const;
  bool end_what_is_due();
  bool end_waiting(Sequence& sequence, BootTime now);
  void compute(const Batch& batch);
  void compute_apart(const Batch& batch);
  void count(const Batch& batch, std::chrono::nanoseconds time);
  void take(const Share& share);
  void end(Sequence& sequence, bool sound);
  void release(Sequence& sequence, bool sound);
  void forget_ended();
  void die(const DecodeOutcome& outcome);
  void fail(RequestKey key, Error error, bool retryable = false) const {
    emit(key, Failure{.error = std::move(error), .retryable = retryable});
  }

  // scheduler_start.cpp
  [[nodiscard]] PriorityClass rank(const Sequence& sequence, BootTime now) const;
  [[nodiscard]] std::size_t fair_places() const;
  [[nodiscard]] std::size_t free_places() const;
  [[nodiscard]] bool held_for_others(const Sequence& next) const;
  [[nodiscard]] Queue::iterator choose(BootTime now);
  bool start_what_fits();
  void start(std::unique_ptr<Sequence> sequence, BootTime now);
  [[nodiscard]] bool may_give_way(const Sequence& sequence, const Sequence& to, BootTime now) const;
  bool make_way(const Sequence& next, BootTime now);
  [[nodiscard]] std::optional<Error> hopeless(const Sequence& sequence, BootTime now) const;

  // scheduler_plan.cpp
  [[nodiscard]] Batch plan(bool embeddings) const;
  [[nodiscard]] std::size_t batch_rows(std::size_t generating) const;
  [[nodiscard]] std::vector<Sequence*> prompts(bool embeddings) const;

  // scheduler_draft.cpp
  void guess();
  std::size_t guess_for(Sequence& sequence, std::size_t rows);
  void settle(const Batch& batch);

  // scheduler_prefix.cpp
  struct Source {
    std::uint32_t slot = kNoSlot;
    std::size_t tokens = 0;
    bool kept = false;  // idle
  };
  void name_blocks(Sequence& sequence) const;
  [[nodiscard]] Source source_for(const Sequence& sequence) const;
  [[nodiscard]] Source source_of(const PrefixChain& chain,
                                 std::size_t most,
                                 const Sequence* itself) const;
  void place(Sequence& sequence, BootTime now);
  static void note_reuse(Sequence& sequence, std::size_t tokens);
  void adopt(Sequence& sequence, BootTime now);
  [[nodiscard]] bool waits_for_prefix(const std::vector<Sequence*>& list, std::size_t index) const;
  void share_prefixes();
  void retire(const Sequence& sequence, bool sound);
  void make_cells(std::size_t rows);

  // scheduler_tier.cpp
  void ask_tier(Sequence& sequence, BootTime now);
  void found(RequestKey key, FoundPrefix prefix);
  void end_tier_waits(BootTime now);
  bool restore(Sequence& sequence, BootTime now);
  [[nodiscard]] bool has_cells(std::size_t tokens, BootTime now);
  bool save_due(BootTime now);
  void save(const SlotPool::Kept& kept);
  [[nodiscard]] std::optional<double> pays(const SlotPool::Kept& kept, std::uint64_t bytes) const;
  [[nodiscard]] static std::vector<Digest> sought_names(std::span<const Digest> blocks);
  [[nodiscard]] std::size_t shelved(const PrefixChain& chain) const;
  void note_shelved(const PrefixChain& chain, std::size_t tokens);
  [[nodiscard]] std::optional<BootTime> rests_until(BootTime now) const;

  // scheduler_pins.cpp
  void pin(const std::vector<PinnedPrompt>& prompts);
  Result<std::vector<std::int32_t>> pin_tokens(const PinnedPrompt& prompt, std::size_t room);
  void set_state(Pin& pin, PinState state, std::string problem = {});
  void notice_lost_pins();
  void adopt_pins(BootTime now);
  bool adopt_pin(std::uint32_t number, std::size_t least, BootTime now);
  bool advance_pins(BootTime now);
  bool advance_pin(std::uint32_t number, BootTime now);
  bool pin_waits_for_tier(std::uint32_t number, BootTime now);
  void pin_found(RequestKey key, FoundPrefix prefix);
  void restore_pin(std::uint32_t number, const FoundPrefix& found, BootTime now);
  void compute_pin(std::uint32_t number, BootTime now);
  void keep_pin(std::uint32_t number, std::uint32_t slot, std::size_t tokens, BootTime now);
  [[nodiscard]] std::size_t pin_holds(std::uint32_t number) const;
  [[nodiscard]] bool is_held(const Pin& pin) const;
  [[nodiscard]] std::optional<BootTime> pins_rest_until() const;
  [[nodiscard]] Pin& pin_of(std::uint32_t number) { return pins[number - 1]; }

  StepEngine& engine;
  SchedulerOptions options;
  const Clock& clock;
  Emit emit;
  Queue queue;                                     // waiting, oldest first
  std::vector<std::unique_ptr<Sequence>> running;  // in the order they started
  SlotPool pool;
  FairShare shares;
  // Places of principals who have just had an answer and may ask again at once, kept a moment.
  std::multimap<std::string, BootTime> holds;
  StepCost cost;
  DraftAccount drafts;
  DraftAccount::Plain plain;  // the present batch without guesses
  IntakeState intake;
  std::uint32_t reserved = 0;  // context that running sequences may fill
  bool caching = false;        // prefixes are shared and kept
  bool drafting = false;       // guesses can be taken back
  std::string state_format;    // empty: there is no second tier
  // Names of blocks whose states the tier should have.
  std::set<Digest> on_tier;
  std::vector<Pin> pins;  // numbered from 1 on
  std::size_t pin_changes = 0;
  BootTime quiet_since{0};                            // when there was a request last
  std::shared_ptr<const PublicBlocks> public_blocks;  // null: nothing is pinned
  bool embeddings_next = false;
  bool dead = false;
  BatchFacts last;
};

}  // namespace skerry::runtime

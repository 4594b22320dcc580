#pragma once

// Decides which rows of which requests an engine computes next (continuous batching): the heart of
// a worker. Sans-I/O and deterministic: it owns no thread and no socket, time comes from a Clock,
// and the caller runs `step` while there is work. skerry-worker drives it; tests drive it with a
// fake engine.
//
// One step is one batch: a row for every sequence that generates, then prompt rows, in chunks small
// enough that the others keep their pace. Classes go before each other, principals share a class
// fairly, waiting raises a request's class, and one that must not wait may send another back.
// Cancellations and deadlines take effect between steps. A failure of one sequence fails that
// request alone. What the engine still holds of a prompt is not computed again (the prefix cache),
// nor what a second tier has of earlier lives; what the operator pinned is computed while nobody
// asks and shared between principals. Where an answer says again what was said before, the tokens
// that followed are guessed and checked together, as long as that pays. ADRs 0012, 0098, 0102,
// 0103, 0110 and 0114.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "skerry/common/clock.hpp"
#include "skerry/common/result.hpp"
#include "skerry/runtime/pinned_prompt.hpp"
#include "skerry/runtime/prefix_tier.hpp"
#include "skerry/runtime/request.hpp"
#include "skerry/runtime/step_engine.hpp"

namespace skerry::runtime {

struct SchedulerOptions {
  Digest model;
  std::uint32_t max_sequences = 4;  // that run at once
  // The engine's own sequences; those beyond `max_sequences` keep prefixes.
  std::uint32_t slots = 0;
  // Share prefixes between requests of the same principal, if the engine can.
  bool prefix_cache = false;
  // Guess what follows from what followed before, if the engine can take rows back and it pays.
  bool drafting = false;
  // Most tokens that idle prefixes keep; 0: what requests leave of `context_total`.
  std::uint32_t kept_tokens = 0;
  std::uint32_t context_length = 0;  // of one sequence
  std::uint32_t context_total = 0;   // of all sequences together
  std::uint32_t vocabulary = 0;
  std::uint32_t max_rows = 512;
  // Total rows of a batch while some sequence generates: 64 cost 4 % more than 512 and cut the
  // longest stall of the others eightfold (ADR 0012).
  std::uint32_t shared_rows = 64;
  // Longest time between two tokens of an answer that prompts of others may cause, as far as tiles
  // of `shared_rows` allow it.
  std::chrono::nanoseconds inter_token_target{std::chrono::milliseconds{150}};
  // A request that waits goes up by one class in this time.
  std::chrono::nanoseconds ageing{std::chrono::seconds{10}};
  // How long the place of a principal whose answer ended is kept from one with more than its share.
  std::chrono::nanoseconds hold{std::chrono::milliseconds{30}};
  // A request that runs is not sent back before this.
  std::chrono::nanoseconds least_run{std::chrono::seconds{2}};
  std::uint32_t max_queued = 256;
  // Where idle prefixes are saved and looked for; null: nowhere. Outlives the scheduler.
  PrefixTier* tier = nullptr;
  // Fewer tokens are neither saved nor looked for.
  std::uint32_t tier_least = 256;
  // A request waits no longer for the tier's answer; others go on meanwhile.
  std::chrono::nanoseconds tier_wait{std::chrono::seconds{1}};
  // A prefix is saved once nobody has used it and nothing has run for so long; pinned prompts are
  // computed when there was no request for so long.
  std::chrono::nanoseconds save_after{std::chrono::milliseconds{300}};
  // A non-causal model: a prompt is computed in one batch.
  bool whole_sequence = false;
  bool can_generate = true;
  bool can_embed = true;
  bool can_score = true;
  bool can_rank = false;
};

// One batch that the engine has computed.
struct BatchFacts {
  std::size_t rows = 0;
  std::size_t generating = 0;  // of them: of sequences that generate, with what they guessed
  std::size_t drafted = 0;     // of these: guesses
  std::chrono::nanoseconds time{0};
};

// Prefixes that no request uses now, and the engine's cells; one that several hold counts once.
struct CacheFacts {
  std::size_t prefixes = 0;
  std::size_t tokens = 0;  // cells of theirs
  std::size_t used = 0;    // cells of theirs and of requests
};

class Scheduler {
 public:
  // Called from `submit`, `cancel` and `step`; must not call back into the scheduler.
  using Emit = std::function<void(RequestKey, Event)>;

  Scheduler(StepEngine& engine, const SchedulerOptions& options, const Clock& clock, Emit emit);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Prompts to compute and keep from now on. Once, before the first request. What is wrong with one
  // is said by `pinned` and stops nothing.
  void pin(const std::vector<PinnedPrompt>& prompts);
  // How they are; `pin_changes` grows whenever that changes.
  [[nodiscard]] std::vector<PinStatus> pinned() const;
  [[nodiscard]] std::size_t pin_changes() const;

  // Accepts generate, embed, score and tokenize requests; whatever is wrong with one is a Failure
  // event: kContextTooLong, kQueueFull, kInvalidArgument, kUnimplemented. Tokenize is answered at
  // once. `key` must not be in use.
  void submit(RequestKey key, Request request);
  // Takes effect at the next step. Unknown keys are ignored.
  void cancel(RequestKey key);
  // Ends what is due, starts what fits, computes one batch; with no request at all, computes
  // a piece of a pinned prompt or saves one prefix that is due. False if there was nothing to do.
  bool step();
  // The tier's answer to `find`. Unknown keys are ignored, as is what comes too late.
  void found(RequestKey key, FoundPrefix prefix);

  // The last step's batch; no rows if it computed none.
  [[nodiscard]] const BatchFacts& last_batch() const;
  // No request waits or runs.
  [[nodiscard]] bool idle() const;
  // Nothing if `step` has something to do now; else when it may have, BootTime::max() if only after
  // another call.
  [[nodiscard]] std::optional<BootTime> rests_until() const;
  // The engine is beyond repair: every request has failed and the worker should end.
  [[nodiscard]] bool dead() const;
  [[nodiscard]] std::uint32_t running() const;
  [[nodiscard]] std::uint32_t queued() const;
  [[nodiscard]] CacheFacts cache() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry::runtime

#include "skerry/runtime/scheduler.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "intake.hpp"
#include "scheduler_impl.hpp"

namespace skerry::runtime {
namespace {

// Of the grammars of all requests that wait or run: 600 bytes of text may be 4 MiB once compiled,
// and a queue is long.
constexpr std::size_t kMostGrammarWeight = 1'000'000;

// A grammar that several follow counts once.
class GrammarWeight {
 public:
  void add(const Sequence& sequence) {
    const auto* work = std::get_if<Generation>(&sequence.work);
    if (work == nullptr || !work->constraint) {
      return;
    }
    sum_ += work->constraint->own_weight();
    const Grammar& grammar = work->constraint->grammar();
    sum_ += seen_.insert(&grammar).second ? grammar.nodes() : 0;
  }
  [[nodiscard]] std::size_t sum() const { return sum_; }

 private:
  std::set<const Grammar*> seen_;
  std::size_t sum_ = 0;
};

}  // namespace

Scheduler::Impl::Impl(StepEngine& the_engine,
                      const SchedulerOptions& the_options,
                      const Clock& the_clock,
                      Emit the_emit)
    : engine(the_engine),
      options(the_options),
      clock(the_clock),
      emit(std::move(the_emit)),
      pool(engine, std::max(options.max_sequences, options.slots)),
      caching(options.prefix_cache && engine.can_copy() && !options.whole_sequence),
      drafting(options.drafting && engine.can_trim() && !options.whole_sequence),
      state_format(caching && options.tier != nullptr ? engine.state_format() : std::string{}) {}

void Scheduler::Impl::submit(RequestKey key, Request request) {
  const RequestMeta& meta = meta_of(request);
  if (dead) {
    fail(key, Error{Error::Code::kWorkerLost, "the engine has failed"}, true);
    return;
  }
  if (meta.model != options.model) {
    fail(key,
         Error{Error::Code::kInvalidArgument,
               "the request is for model " + meta.model.to_string() + ", this worker holds " +
                   options.model.to_string()});
    return;
  }
  if (const auto* tokenize = std::get_if<TokenizeRequest>(&request)) {
    auto answer = answer_tokenize(engine, options, intake, *tokenize);
    if (!answer) {
      fail(key, answer.error());
      return;
    }
    Done done;
    done.usage.prompt_tokens = static_cast<std::uint32_t>(answer->tokens.size());
    emit(key, std::move(*answer));
    emit(key, std::move(done));
    return;
  }
  if (queue.size() >= options.max_queued) {
    fail(key,
         Error{Error::Code::kQueueFull,
               std::to_string(queue.size()) + " requests are waiting for this model"},
         true);
    return;
  }
  const BootTime now = clock.boot_now();
  const std::uint64_t seed = static_cast<std::uint64_t>(now.count()) * 31 + key;
  auto made = make_sequence(engine, options, intake, request, seed);
  if (!made) {
    fail(key, made.error());
    return;
  }
  if (auto refused = too_many_grammars(*made)) {
    fail(key, *std::move(refused), true);
    return;
  }
  auto sequence = std::make_unique<Sequence>(std::move(*made));
  sequence->key = key;
  sequence->submitted = now;
  name_blocks(*sequence);
  ask_tier(*sequence, now);
  if (auto refused = hopeless(*sequence, now)) {
    fail(key, *std::move(refused));
    return;
  }
  shares.enter(sequence->meta.principal);
  queue.push_back(std::move(sequence));
}

// One alone is always taken.
std::optional<Error> Scheduler::Impl::too_many_grammars(const Sequence& sequence) const {
  GrammarWeight weight;
  for (const auto& other : running) {
    weight.add(*other);
  }
  for (const auto& other : queue) {
    weight.add(*other);
  }
  const std::size_t held = weight.sum();
  weight.add(sequence);
  if (held == 0 || weight.sum() == held || weight.sum() <= kMostGrammarWeight) {
    return std::nullopt;
  }
  return Error{Error::Code::kQueueFull,
               "the grammars of the requests for this model are too large together: ask again when "
               "some are answered"};
}

namespace {

bool is_late(const Sequence& sequence, BootTime now) {
  return sequence.meta.deadline && *sequence.meta.deadline <= now;
}

Error too_late() {
  return Error{Error::Code::kDeadlineExceeded, "the request's deadline has passed"};
}

}  // namespace

// True: it waits no longer.
bool Scheduler::Impl::end_waiting(Sequence& sequence, BootTime now) {
  if (sequence.cancelled && sequence.announced) {
    finish_sequence(sequence, FinishReason::kCancelled, now, emit);
  } else if (sequence.cancelled) {
    fail(sequence.key, Error{Error::Code::kCancelled, "the request was cancelled while it waited"});
  } else if (is_late(sequence, now)) {
    fail(sequence.key, too_late());
  } else if (auto refused = sequence.announced ? std::nullopt : hopeless(sequence, now)) {
    fail(sequence.key, *std::move(refused));
  } else {
    return false;
  }
  shares.leave(sequence.meta.principal);
  return true;
}

bool Scheduler::Impl::end_what_is_due() {
  const BootTime now = clock.boot_now();
  bool ended = false;
  for (auto& sequence : running) {
    if (sequence->cancelled) {
      finish_sequence(*sequence, FinishReason::kCancelled, now, emit);
    } else if (is_late(*sequence, now)) {
      fail(sequence->key, too_late());
    } else {
      continue;
    }
    end(*sequence, true);
    ended = true;
  }
  forget_ended();
  return std::erase_if(queue, [&](const auto& sequence) { return end_waiting(*sequence, now); }) >
             0 ||
         ended;
}

void Scheduler::Impl::take(const Share& share) {
  Sequence& sequence = *share.sequence;
  const BootTime now = clock.boot_now();
  const Verdict verdict = take_results(sequence, engine, share.first, share.count, now, emit);
  pool.holds(sequence.slot, sequence.computed);
  if (verdict.failed) {
    fail(sequence.key, *verdict.failed);
    end(sequence, false);
  } else if (verdict.finished) {
    finish_sequence(sequence, *verdict.finished, now, emit);
    end(sequence, true);
  }
}

namespace {

bool guesses(const Batch& batch) {
  return std::any_of(batch.shares.begin(), batch.shares.end(), [](const Share& share) {
    return share.sequence->decoding() && share.count > 1;
  });
}

}  // namespace

void Scheduler::Impl::compute(const Batch& batch) {
  const BootTime began = clock.boot_now();
  const DecodeOutcome outcome = engine.decode(batch.rows);
  switch (outcome.status) {
    case DecodeStatus::kOk:
      count(batch, clock.boot_now() - began);
      for (const Share& share : batch.shares) {
        take(share);
      }
      settle(batch);
      break;
    case DecodeStatus::kCancelled:
      break;
    case DecodeStatus::kNoSpace:
      if (guesses(batch)) {
        drafts.rest();
        break;
      }
      // The same rows again in the next step, with what others keep gone; pinned prompts go last.
      if (pool.forget_ordinary()) {
        break;
      }
      if (!pool.kept().empty()) {
        pool.forget_all();
        break;
      }
      [[fallthrough]];
    case DecodeStatus::kFailed:
      if (guesses(batch)) {
        drafts.rest();  // nobody fails for a guess
        break;
      }
      if (batch.shares.size() > 1) {
        compute_apart(batch);
        break;
      }
      fail(batch.shares[0].sequence->key,
           Error{outcome.status == DecodeStatus::kNoSpace ? Error::Code::kResourceExhausted
                                                          : Error::Code::kInternal,
                 outcome.message},
           outcome.status == DecodeStatus::kNoSpace);
      end(*batch.shares[0].sequence, false);
      break;
    case DecodeStatus::kDead:
      die(outcome);
      break;
  }
}

// What the batch cost, and for whom. Before its results are taken.
void Scheduler::Impl::count(const Batch& batch, std::chrono::nanoseconds time) {
  last = batch.facts(time);
  bool typical = true;
  for (const Share& share : batch.shares) {
    // Guesses are charged once they are true.
    const bool generates = share.sequence->decoding();
    shares.charge(share.sequence->meta.principal, generates ? 1 : 0, generates ? 0 : share.count);
    typical = typical && std::holds_alternative<Generation>(share.sequence->work);
  }
  if (typical) {
    cost.learn(last);
  }
}

// Something in the batch cannot be computed: each sequence by itself, so that only it fails.
void Scheduler::Impl::compute_apart(const Batch& batch) {
  for (const Share& share : batch.shares) {
    if (dead) {
      return;
    }
    Batch alone;
    alone.rows.assign(batch.rows.begin() + static_cast<std::ptrdiff_t>(share.first),
                      batch.rows.begin() + static_cast<std::ptrdiff_t>(share.first + share.count));
    alone.shares.push_back({share.sequence, 0, share.count});
    compute(alone);
  }
}

// Over for good; `forget_ended` then drops it. `sound`: what the engine holds of it is right.
void Scheduler::Impl::end(Sequence& sequence, bool sound) {
  const std::string& principal = sequence.meta.principal;
  if (shares.active() > 1 && shares.running(principal) <= fair_places()) {
    holds.emplace(principal, clock.boot_now() + options.hold);
  }
  release(sequence, sound);
  shares.leave(sequence.meta.principal);
}

// Gives back what the sequence held.
void Scheduler::Impl::release(Sequence& sequence, bool sound) {
  retire(sequence, sound);
  shares.stop(sequence.meta.principal);
  reserved -= sequence.reserved;
  sequence.slot = kNoSlot;
}

void Scheduler::Impl::forget_ended() {
  std::erase_if(running, [](const auto& sequence) { return sequence->slot == kNoSlot; });
}

void Scheduler::Impl::die(const DecodeOutcome& outcome) {
  dead = true;
  const Error error{outcome.out_of_memory ? Error::Code::kOutOfMemory : Error::Code::kWorkerLost,
                    "the engine failed: " + outcome.message};
  for (auto& sequence : running) {
    if (sequence->slot != kNoSlot) {
      fail(sequence->key, error);
    }
  }
  for (auto& sequence : queue) {
    fail(sequence->key, error, !sequence->announced);
  }
  running.clear();
  queue.clear();
}

Scheduler::Scheduler(StepEngine& engine,
                     const SchedulerOptions& options,
                     const Clock& clock,
                     Emit emit)
    : impl_(std::make_unique<Impl>(engine, options, clock, std::move(emit))) {}

Scheduler::~Scheduler() {
  if (!impl_->dead) {
    impl_->pool.forget_all();
  }
}

void Scheduler::submit(RequestKey key, Request request) {
  impl_->submit(key, std::move(request));
}

void Scheduler::cancel(RequestKey key) {
  const auto mark = [key](auto& sequences) {
    for (auto& sequence : sequences) {
      if (sequence->key == key) {
        sequence->cancelled = true;
      }
    }
  };
  mark(impl_->running);
  mark(impl_->queue);
}

bool Scheduler::step() {
  impl_->last = {};
  if (impl_->dead) {
    return false;
  }
  const bool ended = impl_->end_what_is_due();
  if (idle()) {
    const BootTime now = impl_->clock.boot_now();
    return impl_->advance_pins(now) || impl_->save_due(now) || ended;
  }
  const bool started = impl_->start_what_fits();
  impl_->share_prefixes();
  impl_->guess();
  impl_->quiet_since = impl_->clock.boot_now();
  impl_->adopt_pins(impl_->quiet_since);
  // Embeddings and logits never share a batch: they take turns.
  Batch batch = impl_->plan(impl_->embeddings_next);
  if (batch.rows.empty()) {
    impl_->embeddings_next = !impl_->embeddings_next;
    batch = impl_->plan(impl_->embeddings_next);
  }
  if (batch.rows.empty()) {
    return ended || started;
  }
  impl_->embeddings_next = !impl_->embeddings_next;
  impl_->make_cells(batch.rows.size());
  impl_->compute(batch);
  impl_->forget_ended();
  impl_->notice_lost_pins();
  return true;
}

void Scheduler::pin(const std::vector<PinnedPrompt>& prompts) {
  impl_->pin(prompts);
}
std::vector<PinStatus> Scheduler::pinned() const {
  std::vector<PinStatus> list;
  for (const Pin& pin : impl_->pins) {
    list.push_back(pin.status);
  }
  return list;
}
std::size_t Scheduler::pin_changes() const {
  return impl_->pin_changes;
}

const BatchFacts& Scheduler::last_batch() const {
  return impl_->last;
}
void Scheduler::found(RequestKey key, FoundPrefix prefix) {
  impl_->found(key, std::move(prefix));
}
std::optional<BootTime> Scheduler::rests_until() const {
  return impl_->rests_until(impl_->clock.boot_now());
}
bool Scheduler::idle() const {
  return impl_->running.empty() && impl_->queue.empty();
}
bool Scheduler::dead() const {
  return impl_->dead;
}
std::uint32_t Scheduler::running() const {
  return static_cast<std::uint32_t>(impl_->running.size());
}
CacheFacts Scheduler::cache() const {
  return {.prefixes = impl_->pool.kept().size(),
          .tokens = impl_->pool.kept_cells(),
          .used = impl_->pool.cells()};
}
std::uint32_t Scheduler::queued() const {
  return static_cast<std::uint32_t>(impl_->queue.size());
}

}  // namespace skerry::runtime

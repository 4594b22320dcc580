#include "skerry/runtime/scheduler.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "intake.hpp"
#include "sequence.hpp"

namespace skerry::runtime {
namespace {

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
    BatchFacts out{.rows = rows.size(), .generating = 0, .time = time};
    for (const Share& share : shares) {
      out.generating += share.sequence->decoding() ? 1U : 0U;
    }
    return out;
  }
};

Failure failure(Error error, bool retryable = false) {
  return Failure{.error = std::move(error), .retryable = retryable};
}

}  // namespace

struct Scheduler::Impl {
  Impl(StepEngine& the_engine,
       const SchedulerOptions& the_options,
       const Clock& the_clock,
       Emit the_emit)
      : engine(the_engine), options(the_options), clock(the_clock), emit(std::move(the_emit)) {
    for (std::uint32_t slot = options.max_sequences; slot-- > 0;) {
      free_slots.push_back(slot);
    }
  }

  void submit(RequestKey key, Request request);
  bool end_what_is_due();
  bool start_what_fits();
  std::deque<std::unique_ptr<Sequence>>::iterator choose();
  Batch plan(bool embeddings);
  void compute(const Batch& batch);
  void compute_apart(const Batch& batch);
  void take(const Share& share);
  void end(Sequence& sequence);
  void forget_ended();
  void die(const DecodeOutcome& outcome);

  StepEngine& engine;
  SchedulerOptions options;
  const Clock& clock;
  Emit emit;
  std::deque<std::unique_ptr<Sequence>> queue;       // waiting, oldest first
  std::vector<std::unique_ptr<Sequence>> running;    // in the order they started
  std::vector<std::uint32_t> free_slots;             // smallest last: dense slots batch best
  std::map<std::string, std::uint64_t> last_served;  // by principal with something in flight
  std::uint64_t served = 0;
  std::uint32_t reserved = 0;  // context that running sequences may fill
  bool embeddings_next = false;
  bool dead = false;
  BatchFacts last;
};

void Scheduler::Impl::submit(RequestKey key, Request request) {
  const RequestMeta& meta = meta_of(request);
  if (dead) {
    emit(key, failure(Error{Error::Code::kWorkerLost, "the engine has failed"}, true));
    return;
  }
  if (meta.model != options.model) {
    emit(key,
         failure(Error{Error::Code::kInvalidArgument,
                       "the request is for model " + meta.model.to_string() +
                           ", this worker holds " + options.model.to_string()}));
    return;
  }
  if (const auto* tokenize = std::get_if<TokenizeRequest>(&request)) {
    auto answer = answer_tokenize(engine, options, *tokenize);
    if (!answer) {
      emit(key, failure(answer.error()));
      return;
    }
    Done done;
    done.usage.prompt_tokens = static_cast<std::uint32_t>(answer->tokens.size());
    emit(key, std::move(*answer));
    emit(key, std::move(done));
    return;
  }
  if (queue.size() >= options.max_queued) {
    emit(key,
         failure(Error{Error::Code::kQueueFull,
                       std::to_string(queue.size()) + " requests are waiting for this model"},
                 true));
    return;
  }
  const BootTime now = clock.boot_now();
  const std::uint64_t seed = static_cast<std::uint64_t>(now.count()) * 31 + key;
  auto sequence = make_sequence(engine, options, request, seed);
  if (!sequence) {
    emit(key, failure(sequence.error()));
    return;
  }
  sequence->key = key;
  sequence->submitted = now;
  queue.push_back(std::make_unique<Sequence>(std::move(*sequence)));
}

bool Scheduler::Impl::end_what_is_due() {
  const BootTime now = clock.boot_now();
  bool ended = false;
  const auto late = [now](const Sequence& sequence) {
    return sequence.meta.deadline && *sequence.meta.deadline <= now;
  };
  const auto too_late = [] {
    return failure(Error{Error::Code::kDeadlineExceeded, "the request's deadline has passed"});
  };
  for (auto& sequence : running) {
    if (sequence->cancelled) {
      finish_sequence(*sequence, FinishReason::kCancelled, now, emit);
      end(*sequence);
      ended = true;
    } else if (late(*sequence)) {
      emit(sequence->key, too_late());
      end(*sequence);
      ended = true;
    }
  }
  forget_ended();
  const auto drop = [&](const std::unique_ptr<Sequence>& sequence) {
    if (sequence->cancelled) {
      emit(sequence->key,
           failure(Error{Error::Code::kCancelled, "the request was cancelled while it waited"}));
      return true;
    }
    if (late(*sequence)) {
      emit(sequence->key, too_late());
      return true;
    }
    return false;
  };
  return std::erase_if(queue, drop) > 0 || ended;
}

// The next sequence to start: highest class; among its principals the one with the fewest running,
// then the one that waits longest since it was served; then the oldest.
std::deque<std::unique_ptr<Sequence>>::iterator Scheduler::Impl::choose() {
  const auto rank = [this](const Sequence& sequence) {
    const auto at_work = std::count_if(running.begin(), running.end(), [&](const auto& other) {
      return other->meta.principal == sequence.meta.principal;
    });
    const auto found = last_served.find(sequence.meta.principal);
    return std::tuple(
        sequence.meta.priority, at_work, found == last_served.end() ? 0 : found->second);
  };
  return std::min_element(queue.begin(), queue.end(), [&](const auto& a, const auto& b) {
    return rank(*a) < rank(*b);
  });
}

bool Scheduler::Impl::start_what_fits() {
  bool any = false;
  while (!queue.empty() && !free_slots.empty()) {
    const auto next = choose();
    // No overtaking by a smaller one: the chosen one would starve.
    if (reserved + (*next)->reserved > options.context_total && !running.empty()) {
      break;
    }
    std::unique_ptr<Sequence> sequence = std::move(*next);
    queue.erase(next);
    sequence->slot = free_slots.back();
    free_slots.pop_back();
    sequence->started = clock.boot_now();
    reserved += sequence->reserved;
    last_served[sequence->meta.principal] = ++served;
    Started started;
    started.prompt_tokens = sequence->prompt_tokens();
    started.queue_wait = sequence->started - sequence->submitted;
    emit(sequence->key, started);
    running.push_back(std::move(sequence));
    any = true;
  }
  if (queue.empty() && running.empty()) {
    last_served.clear();
  }
  return any;
}

Batch Scheduler::Impl::plan(bool embeddings) {
  Batch batch;
  if (!embeddings) {
    for (auto& sequence : running) {
      if (sequence->decoding() && batch.rows.size() < options.max_rows) {
        batch.add(*sequence, 1);
      }
    }
  }
  const std::size_t total =
      batch.rows.empty() ? options.max_rows : std::min(options.shared_rows, options.max_rows);
  std::vector<Sequence*> prompts;
  for (auto& sequence : running) {
    if (!sequence->decoding() && sequence->embeds() == embeddings) {
      prompts.push_back(sequence.get());
    }
  }
  std::stable_sort(prompts.begin(), prompts.end(), [](const Sequence* a, const Sequence* b) {
    return a->meta.priority < b->meta.priority;
  });
  for (Sequence* sequence : prompts) {
    const std::size_t used = batch.rows.size();
    // A prompt row at least, however many generate.
    std::size_t budget = used < total ? total - used : std::size_t{batch.shares.empty()};
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

void Scheduler::Impl::take(const Share& share) {
  Sequence& sequence = *share.sequence;
  const BootTime now = clock.boot_now();
  const Verdict verdict = take_results(sequence, engine, share.first, share.count, now, emit);
  if (verdict.failed) {
    emit(sequence.key, failure(*verdict.failed));
    end(sequence);
  } else if (verdict.finished) {
    finish_sequence(sequence, *verdict.finished, now, emit);
    end(sequence);
  }
}

void Scheduler::Impl::compute(const Batch& batch) {
  const BootTime began = clock.boot_now();
  const DecodeOutcome outcome = engine.decode(batch.rows);
  if (outcome.status == DecodeStatus::kOk) {
    last = batch.facts(clock.boot_now() - began);
  }
  switch (outcome.status) {
    case DecodeStatus::kOk:
      for (const Share& share : batch.shares) {
        take(share);
      }
      break;
    case DecodeStatus::kCancelled:
      break;
    case DecodeStatus::kNoSpace:
    case DecodeStatus::kFailed:
      if (batch.shares.size() > 1) {
        compute_apart(batch);
        break;
      }
      emit(batch.shares[0].sequence->key,
           failure(Error{outcome.status == DecodeStatus::kNoSpace ? Error::Code::kResourceExhausted
                                                                  : Error::Code::kInternal,
                         outcome.message},
                   outcome.status == DecodeStatus::kNoSpace));
      end(*batch.shares[0].sequence);
      break;
    case DecodeStatus::kDead:
      die(outcome);
      break;
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

// Gives back what the sequence held; `forget_ended` then drops it.
void Scheduler::Impl::end(Sequence& sequence) {
  engine.remove_sequence(sequence.slot);
  free_slots.push_back(sequence.slot);
  std::sort(free_slots.begin(), free_slots.end(), std::greater<>{});
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
      emit(sequence->key, failure(error));
    }
  }
  for (auto& sequence : queue) {
    emit(sequence->key, failure(error, true));
  }
  running.clear();
  queue.clear();
}

Scheduler::Scheduler(StepEngine& engine,
                     const SchedulerOptions& options,
                     const Clock& clock,
                     Emit emit)
    : impl_(std::make_unique<Impl>(engine, options, clock, std::move(emit))) {}

Scheduler::~Scheduler() = default;

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
  const bool started = impl_->start_what_fits();
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
  impl_->compute(batch);
  impl_->forget_ended();
  return true;
}

const BatchFacts& Scheduler::last_batch() const {
  return impl_->last;
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
std::uint32_t Scheduler::queued() const {
  return static_cast<std::uint32_t>(impl_->queue.size());
}

}  // namespace skerry::runtime

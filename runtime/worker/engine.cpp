#include "engine.hpp"

#include <unistd.h>
#include <utility>

#include "wire.hpp"

namespace skerry::runtime {
namespace {

// sysexits.h EX_SOFTWARE: the engine said that it is beyond repair.
constexpr int kEngineDead = 70;

}  // namespace

Engine::Engine(Plugin& plugin, Channel& channel, EngineSignals& signals, CpuProbe probe)
    : plugin_(plugin),
      channel_(channel),
      signals_(signals),
      probe_(std::move(probe)),
      thread_([this] { run(); }) {}

void Engine::post(std::function<void()> work) {
  const std::lock_guard lock{mutex_};
  commands_.push_back(std::move(work));
  ready_.notify_one();
}

void Engine::load(Plan plan, std::vector<UniqueFd> files) {
  files_ = std::move(files);
  post([this, plan = std::move(plan)] { load_now(plan); });
}

void Engine::submit(RequestKey key, Request request) {
  if (!published_) {
    emit(key,
         Failure{.error = Error{Error::Code::kFailedPrecondition, "the worker has no model yet"},
                 .retryable = true});
    return;
  }
  if (auto* infer = std::get_if<InferRequest>(&request); infer != nullptr) {
    if (pool_) {
      pool_->submit(key, std::move(*infer));
      return;
    }
  } else if (!scheduler_) {
    emit(key,
         Failure{.error = Error{Error::Code::kUnimplemented,
                                "this model takes tensors, not text: use infer"},
                 .retryable = false});
    return;
  }
  if (!scheduler_) {
    return;
  }
  // std::function wants something that can be copied.
  auto held = std::make_shared<Request>(std::move(request));
  post([this, key, held] { scheduler_->submit(key, std::move(*held)); });
}

void Engine::cancel(RequestKey key) {
  if (!published_) {
    return;
  }
  if (pool_) {
    pool_->cancel(key);
  }
  if (scheduler_) {
    post([this, key] { scheduler_->cancel(key); });
    if (running_ == 1) {
      // Alone in its batch, or nearly: stop the computation rather than wait for it.
      model_->interrupt();
    }
  }
}

void Engine::prefix_answered(const worker::v1::PrefixAnswer& answer, UniqueFd fd) {
  if (!published_ || !tier_) {
    return;
  }
  post([this, key = answer.key(), found = RemoteTier::open(answer, fd)] {
    scheduler_->found(key, found);
  });
}

void Engine::prefix_taken() {
  if (published_ && tier_) {
    post([this] { tier_->taken(); });
  }
}

bool Engine::busy() const {
  return at_work_ || (published_ && pool_ && pool_->busy());
}

CpuFacts Engine::cpu_facts() const {
  return published_ && keeper_ ? keeper_->facts() : CpuFacts{};
}

void Engine::emit(RequestKey key, Event event) {
  worker::v1::FromWorker message;
  wire::put_event(key, std::move(event), *message.mutable_event());
  channel_.send(message);
}

void Engine::report_prompts() {
  if (scheduler_->pin_changes() == reported_) {
    return;
  }
  reported_ = scheduler_->pin_changes();
  worker::v1::FromWorker message;
  wire::put_pins(scheduler_->pinned(), *message.mutable_prompt_states());
  channel_.send(message);
}

// Until there is a command, or something that the scheduler waits for is due.
void Engine::rest(std::unique_lock<std::mutex>& lock) {
  const auto until = scheduler_ ? scheduler_->rests_until() : std::optional{BootTime::max()};
  if (!commands_.empty() || !until) {
    return;
  }
  at_work_ = false;
  const auto is_there = [this] { return !commands_.empty(); };
  if (*until == BootTime::max()) {
    ready_.wait(lock, is_there);
  } else {
    ready_.wait_for(lock, *until - clock_.boot_now(), is_there);
  }
  if (keeper_) {
    keeper_->wake();
  }
}

void Engine::run() {
  for (;;) {
    std::deque<std::function<void()>> commands;
    {
      std::unique_lock lock{mutex_};
      rest(lock);
      at_work_ = true;
      commands.swap(commands_);
    }
    for (const auto& command : commands) {
      command();
      ++signals_.progress;
    }
    if (scheduler_) {
      scheduler_->step();
      ++signals_.progress;
      running_ = scheduler_->running();
      if (scheduler_->last_batch().rows > 0) {
        keeper_->after_batch(scheduler_->last_batch());
      }
      report_prompts();
      if (scheduler_->dead()) {
        _exit(kEngineDead);
      }
    }
  }
}

void Engine::load_now(const Plan& plan) {
  auto model = plugin_.load(plan.load);
  if (!model) {
    channel_.send_failure(model.error());
    return;
  }
  model_ = std::move(*model);
  const ModelInfo& info = model_->info();
  const auto forward = [this](RequestKey key, Event event) { emit(key, std::move(event)); };
  if (model_->steps()) {
    SchedulerOptions options;
    options.model = plan.load.model;
    options.max_sequences = info.max_sequences;
    options.slots = model_->sequences();
    options.prefix_cache = plan.prefix_cache;
    options.kept_tokens = plan.kept_tokens;
    options.drafting = plan.drafting;
    if (const std::string format = model_->state_format();
        plan.state_limit > 0 && !format.empty()) {
      tier_ = std::make_unique<RemoteTier>(channel_, format, plan.state_limit);
      options.tier = tier_.get();
    }
    options.context_length = info.context_length;
    options.context_total = info.context_total;
    options.vocabulary = info.vocabulary;
    options.max_rows = model_->max_rows();
    options.max_queued = plan.max_queued;
    if (plan.inter_token_target.count() > 0) {
      options.inter_token_target = plan.inter_token_target;
    }
    options.whole_sequence = model_->whole_sequence();
    options.can_generate = info.can_generate;
    options.can_embed = info.can_embed;
    options.can_score = info.can_score;
    options.can_rank = info.can_rank;
    scheduler_ = std::make_unique<Scheduler>(*model_, options, clock_, forward);
    const ThreadKeeper::Plan threads{plan.load.threads, plan.adapt_threads};
    keeper_ = std::make_unique<ThreadKeeper>(
        *model_, std::move(probe_), clock_, threads, [this](const std::string& text) {
          worker::v1::FromWorker message;
          message.mutable_log()->set_level(static_cast<std::uint32_t>(LogLevel::kWarning));
          message.mutable_log()->set_message(text);
          channel_.send(message);
        });
  }
  if (info.can_infer) {
    pool_ =
        std::make_unique<InferPool>(*model_, clock_, plan.max_queued, [this](auto key, auto event) {
          ++signals_.progress;
          emit(key, std::move(event));
        });
  }
  published_ = true;
  worker::v1::FromWorker message;
  wire::put_model(info, *message.mutable_loaded());
  channel_.send(message);
  if (scheduler_) {
    scheduler_->pin(plan.prompts);
  }
}

}  // namespace skerry::runtime

#include "skerry/agent/upstreams.hpp"

#include <algorithm>
#include <utility>

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include "skerry/async/offload.hpp"
#include "skerry/async/sleep.hpp"

#include "upstreams_impl.hpp"

namespace skerry::agent::upstream {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kMostKeyBytes = 8192;
constexpr std::chrono::seconds kIdleProbe{3600};
constexpr std::chrono::milliseconds kDrainTick{20};

std::vector<EndpointFacts> facts_of(const std::vector<Endpoint>& endpoints) {
  std::vector<EndpointFacts> facts;
  for (const Endpoint& endpoint : endpoints) {
    EndpointFacts& one = facts.emplace_back();
    one.name = endpoint.options.name;
    one.tier = endpoint.options.tier;
    one.most = endpoint.options.max_concurrent > 0 ? endpoint.options.max_concurrent
                                                   : endpoint.quirks->concurrency;
  }
  return facts;
}

BookTimes times_of(const UpstreamOptions& options) {
  BookTimes times;
  times.interval = options.probe_interval;
  times.first = std::min<std::chrono::nanoseconds>(times.first, options.probe_interval);
  return times;
}

// A model that servers answer for.
class UpstreamModel final : public runtime::LoadedModel {
 public:
  UpstreamModel(UpstreamsImpl& owner, Digest model, Spec spec, std::uint32_t sequences)
      : owner_(owner), spec_(std::make_shared<const Spec>(std::move(spec))) {
    info_.digest = model;
    info_.plugin = std::string{kPlugin};
    info_.engine_version = spec_->model;
    info_.architecture = "upstream";
    info_.accelerator = "remote";
    info_.can_generate = spec_->text;
    info_.can_chat = spec_->chat;
    info_.can_embed = spec_->embed;
    if (spec_->chat) {
      // As far as the server that answers can; it is chosen by that.
      info_.chat_style.tools = runtime::ToolSyntax::kServer;
    }
    info_.context_length = spec_->context_length;
    info_.context_total = spec_->context_length;
    info_.max_sequences = sequences;
  }

  [[nodiscard]] const runtime::ModelInfo& info() const override { return info_; }
  [[nodiscard]] runtime::WorkerStatus status() const override {
    runtime::WorkerStatus status;
    const Result<void> reached = owner_.reachable(*spec_);
    status.state = reached ? runtime::WorkerState::kReady : runtime::WorkerState::kBackOff;
    status.last_exit = reached ? std::string{} : reached.error().message();
    status.in_flight = owner_.in_flight(info_.digest);
    return status;
  }

  runtime::RequestHandle submit(runtime::Request request, runtime::EventSink sink) override {
    auto call = std::make_shared<Call>(owner_.control(), std::move(request), std::move(sink));
    call->model = info_.digest;
    call->spec = spec_;
    owner_.submit(call);
    return runtime::RequestHandle{[weak = std::weak_ptr{call}, executor = owner_.control()] {
      asio::post(executor, [weak] {
        if (const CallPtr alive = weak.lock()) {
          alive->cancel();
        }
      });
    }};
  }

  Task<void> unload(std::chrono::milliseconds grace) override {
    return owner_.drain(info_.digest, grace);
  }

 private:
  UpstreamsImpl& owner_;
  std::shared_ptr<const Spec> spec_;
  runtime::ModelInfo info_;
};

}  // namespace

Result<std::unique_ptr<Upstreams>> Upstreams::make(asio::any_io_executor control,
                                                   asio::any_io_executor disk,
                                                   UpstreamOptions options,
                                                   const Clock& clock,
                                                   FileSystem& fs,
                                                   Log log) {
  if (Result<void> checked = check_options(options); !checked) {
    return checked.error();
  }
  std::vector<Endpoint> endpoints;
  for (const EndpointOptions& wanted : options.endpoints) {
    Result<Url> url = parse_url(wanted.url);
    if (!url) {
      return url.error();
    }
    Result<std::shared_ptr<asio::ssl::context>> tls = make_tls(wanted, *url);
    if (!tls) {
      return tls.error();
    }
    Endpoint& endpoint = endpoints.emplace_back();
    endpoint.options = wanted;
    endpoint.url = *std::move(url);
    endpoint.quirks = &quirks_of(wanted.kind);
    endpoint.tls = *std::move(tls);
  }
  return std::unique_ptr<Upstreams>{std::make_unique<UpstreamsImpl>(std::move(control),
                                                                    std::move(disk),
                                                                    std::move(options),
                                                                    std::move(endpoints),
                                                                    clock,
                                                                    fs,
                                                                    std::move(log))};
}

UpstreamsImpl::UpstreamsImpl(asio::any_io_executor control,
                             asio::any_io_executor disk,
                             UpstreamOptions options,
                             std::vector<Endpoint> endpoints,
                             const Clock& clock,
                             FileSystem& fs,
                             Log log)
    : control_(std::move(control)),
      disk_(std::move(disk)),
      options_(std::move(options)),
      endpoints_(std::move(endpoints)),
      clock_(clock),
      fs_(fs),
      log_(std::move(log)),
      book_(facts_of(endpoints_), times_of(options_)),
      details_(endpoints_.size()),
      line_(options_.max_waiting),
      probe_wake_(control_),
      tasks_(control_, [this](const std::string& task, const std::string& what) {
        log_.error("task.failed", {{"task", task}, {"error", what}});
      }) {}

Task<void> UpstreamsImpl::run() {
  while (true) {
    const auto next = book_.next_probe();
    const BootTime now = clock_.boot_now();
    if (next && next->second <= now) {
      book_.probing(next->first, now);
      tasks_.spawn("upstream.probe", probe(next->first));
      continue;
    }
    boost::system::error_code ec;
    auto token = asio::redirect_error(asio::use_awaitable, ec);
    probe_wake_.expires_after(next ? next->second - now : std::chrono::nanoseconds{kIdleProbe});
    co_await probe_wake_.async_wait(token);
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      throw boost::system::system_error(asio::error::operation_aborted);
    }
  }
}

Task<void> UpstreamsImpl::stop() {
  stopped_ = true;
  for (const auto& [id, call] : calls_) {
    call->cancel();
  }
  co_await tasks_.stop();
}

std::vector<EndpointView> UpstreamsImpl::view() const {
  std::vector<EndpointView> views;
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    const EndpointState& state = book_.endpoints()[i];
    EndpointView& view = views.emplace_back();
    view.name = state.facts.name;
    view.server = to_string(endpoints_[i].options.kind);
    view.tier = to_string(state.facts.tier);
    view.state = to_string(state.health);
    view.problem = state.problem;
    view.in_flight = state.in_flight;
    view.most = state.facts.most;
    view.answered = state.answered;
    view.failed = state.failed;
  }
  return views;
}

Task<Result<std::string>> UpstreamsImpl::authorization(std::size_t endpoint) {
  const std::string file = endpoints_[endpoint].options.api_key_file;
  if (file.empty()) {
    co_return std::string();
  }
  auto read = [this, file]() -> Result<std::string> {
    Result<std::string> text = read_file(fs_, file, kMostKeyBytes);
    if (!text) {
      return Error{Error::Code::kConfigInvalid, "the key: " + text.error().message()};
    }
    while (!text->empty() &&
           (text->back() == '\n' || text->back() == '\r' || text->back() == ' ')) {
      text->pop_back();
    }
    const bool visible = std::all_of(text->begin(), text->end(), [](char c) {
      return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7f;
    });
    // What is in it is not repeated.
    if (text->empty() || !visible) {
      return Error{Error::Code::kConfigInvalid, file + ": must be one line of visible characters"};
    }
    return "Bearer " + *text;
  };
  co_return co_await async::offload(disk_, std::move(read));
}

Task<Result<UpstreamsImpl::Page>> UpstreamsImpl::get(std::size_t endpoint,
                                                     std::string target,
                                                     std::string key) {
  const Endpoint& server = endpoints_[endpoint];
  Exchange exchange(control_, server.url, server.tls, AnswerLimits::kListBytes);
  HttpAsk ask;
  ask.method = "GET";
  ask.target = std::move(target);
  ask.host = server.url.authority();
  ask.authorization = std::move(key);
  ask.accept = "*/*";
  // For all of it: who sends a byte now and then would otherwise be asked for days.
  const BootTime until = clock_.boot_now() + options_.connect_timeout;
  Result<void> sent = co_await exchange.connect(options_.connect_timeout);
  if (sent) {
    sent = co_await exchange.send(write_request(ask), until - clock_.boot_now());
  }
  if (!sent) {
    details_[endpoint] = exchange.detail();
    co_return sent.error();
  }
  bool more = true;
  while (more) {
    Result<bool> read = co_await exchange.read(until - clock_.boot_now());
    if (!read) {
      details_[endpoint] = exchange.detail();
      co_return read.error();
    }
    more = *read;
  }
  Page page;
  page.status = exchange.reply().status();
  page.body = exchange.reply().take_body();
  co_return page;
}

Task<Result<Probe>> UpstreamsImpl::ask_health(std::size_t endpoint) {
  const Endpoint& server = endpoints_[endpoint];
  Result<std::string> key = co_await authorization(endpoint);
  if (!key) {
    co_return key.error();
  }
  if (!server.quirks->health.empty()) {
    Result<Page> health = co_await get(endpoint, std::string(server.quirks->health), *key);
    if (!health) {
      co_return health.error();
    }
    if (health->status != 200) {
      co_return fault_of(health->status, "").error.with_context(server.quirks->health);
    }
  }
  Result<Page> list = co_await get(endpoint, server.url.path + "/models", *key);
  if (!list) {
    co_return list.error();
  }
  Probe probe;
  if (list->status == 200) {
    Result<std::set<std::string>> models = read_models(list->body);
    if (!models) {
      co_return models.error();
    }
    probe.models = *std::move(models);
  } else if (list->status != 404 || server.quirks->health.empty()) {
    co_return fault_of(list->status, "").error.with_context("its list of models");
  }
  if (server.quirks->load_metrics) {
    Result<Page> metrics = co_await get(endpoint, "/metrics", *key);
    if (metrics && metrics->status == 200) {
      probe.load = read_load(metrics->body);
    }
  }
  co_return probe;
}

Task<void> UpstreamsImpl::probe(std::size_t endpoint) {
  const Health before = book_.endpoints()[endpoint].health;
  details_[endpoint].clear();
  Result<Probe> found = co_await ask_health(endpoint);
  if (stopped_) {
    co_return;  // it was ended, which is no state of the server
  }
  const BootTime now = clock_.boot_now();
  if (found) {
    book_.probed(endpoint, *std::move(found), now);
  } else {
    const bool key = found.error().code() == Error::Code::kConfigInvalid;
    std::string told = key ? std::string(kNoKey) : found.error().message();
    std::string problem = std::exchange(details_[endpoint], {});
    if (problem.empty()) {
      problem = found.error().message();
    }
    book_.probe_failed(endpoint, std::move(problem), now, std::move(told));
  }
  tell_change(endpoint, before);
  probe_wake_.cancel();
  pump();
}

bool UpstreamsImpl::tell_change(std::size_t endpoint, Health before) {
  const EndpointState& state = book_.endpoints()[endpoint];
  if (state.health == before) {
    return false;
  }
  log_.info("upstream.state",
            {{"upstream", state.facts.name},
             {"tier", to_string(state.facts.tier)},
             {"state", to_string(state.health)},
             {"problem", state.problem}});
  return true;
}

Result<void> UpstreamsImpl::reachable(const Spec& spec) const {
  std::string reasons;
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    const EndpointState& state = book_.endpoints()[i];
    if (std::find(spec.order.begin(), spec.order.end(), state.facts.tier) == spec.order.end()) {
      continue;
    }
    const std::string& name = spec.name_at(endpoints_[i].options.kind);
    std::string why = state.told;
    if (state.health == Health::kUp) {
      if (!state.models || offers(*endpoints_[i].quirks, *state.models, name)) {
        return {};
      }
      why = "does not have \"" + name + "\"";
    }
    reasons += (reasons.empty() ? "" : "; ") + state.facts.name + ": " +
               (why.empty() ? "not asked yet" : why);
  }
  if (reasons.empty()) {
    return Error{Error::Code::kUnimplemented,
                 "no upstream.endpoint is configured in a tier that may answer"};
  }
  return Error{Error::Code::kUnavailable, "no upstream is well that has the model: " + reasons};
}

Task<Result<std::shared_ptr<runtime::LoadedModel>>> UpstreamsImpl::load(Digest model, Spec spec) {
  std::uint32_t sequences = 0;
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    const EndpointState& state = book_.endpoints()[i];
    if (std::find(spec.order.begin(), spec.order.end(), state.facts.tier) == spec.order.end()) {
      continue;
    }
    sequences += state.facts.most;
    const bool asked = state.health == Health::kUp ||
                       (state.health == Health::kDown && state.next_probe > clock_.boot_now());
    if (asked) {
      continue;
    }
    book_.probing(i, clock_.boot_now());
    if (reachable(spec)) {
      tasks_.spawn("upstream.probe", probe(i));
    } else {
      co_await probe(i);
    }
  }
  Result<void> reached = reachable(spec);
  if (!reached) {
    co_return reached.error();
  }
  co_return std::make_shared<UpstreamModel>(*this, model, std::move(spec), sequences);
}

std::uint32_t UpstreamsImpl::in_flight(const Digest& model) const {
  return static_cast<std::uint32_t>(std::count_if(
      calls_.begin(), calls_.end(), [&](const auto& item) { return item.second->model == model; }));
}

Task<void> UpstreamsImpl::drain(Digest model, std::chrono::milliseconds grace) {
  const BootTime until = clock_.boot_now() + grace;
  bool told = false;
  while (in_flight(model) > 0) {
    if (!told && clock_.boot_now() >= until) {
      told = true;
      for (const auto& [id, call] : calls_) {
        if (call->model == model) {
          call->cancel();
        }
      }
    }
    co_await async::sleep_for(kDrainTick);
  }
}

}  // namespace skerry::agent::upstream

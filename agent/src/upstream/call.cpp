// One request from its turn to its last event: room on a server, and another server where nothing
// of the answer has come yet.

#include <algorithm>
#include <utility>

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include "upstreams_impl.hpp"

namespace skerry::agent::upstream {
namespace {

// Servers that one request is given to at most.
constexpr std::size_t kMostAttempts = 3;
// It may be what brought the server down: it brings down two at most.
constexpr unsigned kMostLost = 2;
// Room may come free without anybody saying so (a server was busy for a while).
constexpr std::chrono::milliseconds kLineTick{200};

runtime::Failure failure_of(const Call& call, Error error, bool retryable) {
  runtime::Failure failure;
  failure.error = std::move(error);
  failure.retryable = retryable && !call.started;
  failure.served_by = call.served_by;
  return failure;
}

}  // namespace

class UpstreamsImpl::Room {
 public:
  Room(UpstreamsImpl& owner, const CallPtr& call, std::size_t endpoint)
      : owner_(owner), call_(call), endpoint_(endpoint) {}
  ~Room() { owner_.give_room(*call_, endpoint_, outcome); }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;

  // As it is when the call is cancelled.
  Outcome outcome{std::nullopt, {}, {}, {}, true};

 private:
  UpstreamsImpl& owner_;
  CallPtr call_;
  std::size_t endpoint_;
};

void UpstreamsImpl::submit(const CallPtr& call) {
  call->id = ++last_id_;
  call->began = clock_.boot_now();
  if (stopped_) {
    // Nothing is spawned any more, and whoever waits for the last event would wait for ever.
    boost::asio::post(control_, [this, call] { end_cancelled(*call); });
    return;
  }
  calls_.emplace(call->id, call);
  tasks_.spawn("upstream.call", serve(call));
}

Task<void> UpstreamsImpl::serve(CallPtr call) {
  // No event comes from inside `submit`.
  co_await boost::asio::post(control_, boost::asio::use_awaitable);
  try {
    co_await attempts(call);
  } catch (...) {
    leave_line(*call);
    calls_.erase(call->id);
    end_cancelled(*call);
    throw;
  }
  leave_line(*call);
  calls_.erase(call->id);
}

bool UpstreamsImpl::overdue(const Call& call) const {
  const auto& deadline = runtime::meta_of(call.request).deadline;
  return deadline && *deadline <= clock_.boot_now();
}

std::chrono::nanoseconds UpstreamsImpl::left(const Call& call,
                                             std::chrono::nanoseconds at_most) const {
  const auto& deadline = runtime::meta_of(call.request).deadline;
  return deadline ? std::min<std::chrono::nanoseconds>(at_most, *deadline - clock_.boot_now())
                  : at_most;
}

Choice UpstreamsImpl::choose(const Call& call, std::optional<Error>& refusal) const {
  const auto able = [this, &call, &refusal](const EndpointState& state) -> Result<void> {
    const auto i = static_cast<std::size_t>(&state - book_.endpoints().data());
    const Quirks& quirks = *endpoints_[i].quirks;
    const std::string& name = call.spec->name_at(endpoints_[i].options.kind);
    if (state.models && !offers(quirks, *state.models, name)) {
      return Error{Error::Code::kUnavailable, "does not have \"" + name + "\""};
    }
    Result<void> can = can_answer(quirks, call.request);
    if (can) {
      can = check_uncut(quirks, *call.spec, call.request);
    }
    if (!can) {
      refusal = can.error().with_context(state.facts.name);
    }
    return can;
  };
  return book_.choose(call.spec->order, call.spec->spill, able, call.tried, clock_.boot_now());
}

void UpstreamsImpl::take_room(Call& call, std::size_t endpoint) {
  book_.started(endpoint);
  ++under_way_[runtime::meta_of(call.request).principal];
  call.asked = clock_.boot_now();
}

void UpstreamsImpl::give_room(const Call& call, std::size_t endpoint, const Outcome& outcome) {
  const Health before = book_.endpoints()[endpoint].health;
  book_.ended(endpoint, outcome, clock_.boot_now());
  const auto share = under_way_.find(runtime::meta_of(call.request).principal);
  if (share != under_way_.end() && --share->second == 0) {
    under_way_.erase(share);
  }
  if (tell_change(endpoint, before)) {
    probe_wake_.cancel();
  }
  pump();
}

void UpstreamsImpl::pump_at_times() {
  if (clock_.boot_now() - last_pump_ >= kLineTick) {
    pump();
  }
}

void UpstreamsImpl::pump() {
  if (line_.size() == 0) {
    return;
  }
  last_pump_ = clock_.boot_now();
  const auto under_way = [this](const std::string& principal) -> std::size_t {
    const auto found = under_way_.find(principal);
    return found == under_way_.end() ? 0 : found->second;
  };
  for (const std::uint64_t id : line_.order(under_way)) {
    const auto found = calls_.find(id);
    if (found == calls_.end() || found->second->cancelled) {
      continue;
    }
    Call& call = *found->second;
    std::optional<Error> refusal;
    const Choice choice = choose(call, refusal);
    if (choice.what == Choice::What::kWait) {
      continue;
    }
    if (choice.what == Choice::What::kUse) {
      take_room(call, choice.endpoint);
      call.granted = choice.endpoint;
      line_.remove(id);
      call.waiting = false;
    }
    call.wake.cancel();
  }
}

void UpstreamsImpl::leave_line(Call& call) {
  if (std::exchange(call.waiting, false)) {
    line_.remove(call.id);
  }
  // Room that came too late.
  if (call.granted) {
    const std::size_t endpoint = *std::exchange(call.granted, std::nullopt);
    give_room(call, endpoint, Outcome{std::nullopt, {}, {}, {}, true});
  }
}

// Why it will get no room any more, if so.
std::optional<runtime::Failure> UpstreamsImpl::hopeless(const Call& call,
                                                        const Choice& choice,
                                                        const std::optional<Error>& refusal) const {
  if (choice.what != Choice::What::kNone) {
    return std::nullopt;
  }
  Error error = call.last_error ? *call.last_error : choice.error;
  if (!call.last_error && choice.error.code() == Error::Code::kUnimplemented && refusal) {
    error = *refusal;
  }
  const bool later = error.code() != Error::Code::kUnimplemented;
  return failure_of(call, std::move(error), later);
}

bool UpstreamsImpl::join_line(Call& call) {
  if (call.waiting) {
    return true;
  }
  const runtime::RequestMeta& meta = runtime::meta_of(call.request);
  WaitingLine::Entry entry;
  entry.id = call.id;
  entry.principal = meta.principal;
  entry.priority = meta.priority;
  call.waiting = line_.push(std::move(entry));
  return call.waiting;
}

// Room, no room yet (none), or the end of the call.
std::optional<bool> UpstreamsImpl::seek_room(Call& call) {
  if (call.cancelled) {
    end_cancelled(call);
    return false;
  }
  if (overdue(call)) {
    const Error late(Error::Code::kDeadlineExceeded,
                     "the deadline passed before a server had room");
    call.end(failure_of(call, late, true));
    return false;
  }
  if (call.granted) {
    return true;
  }
  std::optional<Error> refusal;
  Choice choice = choose(call, refusal);
  if (choice.what == Choice::What::kUse && !call.waiting && line_.size() > 0) {
    // Those who waited for that room come first.
    pump();
    choice = choose(call, refusal);
  }
  if (std::optional<runtime::Failure> end = hopeless(call, choice, refusal)) {
    call.end(*std::move(end));
    return false;
  }
  if (choice.what == Choice::What::kUse && !call.waiting) {
    take_room(call, choice.endpoint);
    call.granted = choice.endpoint;
    return true;
  }
  if (!join_line(call)) {
    const Error full(Error::Code::kQueueFull, "too many requests wait for an upstream server");
    call.end(failure_of(call, full, true));
    return false;
  }
  return std::nullopt;
}

// True once there is room; false if the call is over.
Task<bool> UpstreamsImpl::wait_for_room(CallPtr call) {
  while (true) {
    if (const std::optional<bool> found = seek_room(*call)) {
      co_return *found;
    }
    boost::system::error_code ec;
    auto token = boost::asio::redirect_error(boost::asio::use_awaitable, ec);
    call->wake.expires_after(left(*call, kLineTick));
    co_await call->wake.async_wait(token);
    const auto state = co_await boost::asio::this_coro::cancellation_state;
    if (state.cancelled() != boost::asio::cancellation_type::none) {
      throw boost::system::system_error(boost::asio::error::operation_aborted);
    }
    if (!ec) {
      pump_at_times();
    }
  }
}

Task<void> UpstreamsImpl::attempts(CallPtr call) {
  Result<void> wanted = check_against(*call->spec, call->request);
  if (!wanted) {
    call->end(failure_of(*call, wanted.error(), false));
    co_return;
  }
  while (true) {
    const bool room = co_await wait_for_room(call);
    if (!room) {
      co_return;
    }
    const std::size_t endpoint = *std::exchange(call->granted, std::nullopt);
    const bool over = co_await attempt(call, endpoint);
    if (over) {
      co_return;
    }
  }
}

// True if the call is over; otherwise another server may be asked.
Task<bool> UpstreamsImpl::attempt(CallPtr call, std::size_t endpoint) {
  const Endpoint& server = endpoints_[endpoint];
  Room room(*this, call, endpoint);
  Exchange exchange(control_, server.url, server.tls, AnswerLimits::kAnswerBytes);
  call->exchange = &exchange;
  struct Forget {
    explicit Forget(const CallPtr& whose) : call(whose) {}
    ~Forget() { call->exchange = nullptr; }
    CallPtr call;
  };
  const Forget forget(call);
  Attempt done;
  if (std::holds_alternative<runtime::EmbedRequest>(call->request)) {
    done = co_await ask_embeddings(call, endpoint, exchange);
  } else {
    done = co_await ask_text(call, endpoint, exchange);
  }
  if (call->cancelled) {
    end_cancelled(*call);
    co_return true;
  }
  if (done.outcome.blame == Blame::kLost && !exchange.detail().empty()) {
    done.outcome.told = std::exchange(done.outcome.problem, exchange.detail());
  }
  room.outcome = done.outcome;
  room.outcome.first_piece = call->first_piece;
  if (done.over) {
    co_return true;
  }
  if (overdue(*call)) {
    room.outcome.ended_here = true;
    call->end(
        failure_of(*call, Error(Error::Code::kDeadlineExceeded, "the deadline passed"), false));
    co_return true;
  }
  const Blame blame = done.outcome.blame.value_or(Blame::kServer);
  // What a server says may quote the prompt: its kind alone is logged.
  log_.warning("upstream.request_failed",
               {{"upstream", server.options.name},
                {"blame", to_string(blame)},
                {"code", to_string(done.error->code())},
                {"connection", exchange.detail()}});
  call->tried.insert(endpoint);
  // Who could not be reached was not given it.
  const bool given = exchange.given();
  call->given += given ? 1U : 0U;
  call->lost += given && blame == Blame::kLost ? 1U : 0U;
  call->last_error = done.error->with_context(server.options.name);
  const bool final_word = call->started || blame == Blame::kRequest ||
                          call->given >= kMostAttempts || call->lost >= kMostLost;
  if (final_word) {
    call->end(failure_of(*call, *call->last_error, blame != Blame::kRequest));
  }
  co_return final_word;
}

}  // namespace skerry::agent::upstream
